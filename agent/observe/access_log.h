// One record per connection, from a worker to the log's writer thread through a bounded ring that
// never blocks.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/address.h"
#include "core/clock.h"
#include "core/result.h"
#include "observe/close_reason.h"

namespace mooring::observe {

class FlightRecorder;

/// What is known when a connection ends. Strings are empty where a fact does not exist. Peer-chosen
/// text (identities, SNI) is escaped by the formatter.
struct AccessRecord {
  std::uint64_t id = 0;  // worker and sequence; joins the access log with `mooring why`
  WallTime start;
  Milliseconds duration{0};
  Direction direction = Direction::inbound;
  CloseReason reason = CloseReason::closed;
  std::string detail;    // e.g. a TLS library's reason or an errno text
  std::string listener;  // service or upstream name
  std::string cluster;
  std::string rule;         // of authorization, empty if none matched
  std::string shadow_rule;  // what a shadow rule would have done: "deny:NAME", or empty
  SocketAddress downstream_remote;
  SocketAddress downstream_local;  // the original destination
  SocketAddress upstream_remote;   // port 0: never connected
  SocketAddress upstream_local;
  std::string local_identity;  // our SPIFFE ID
  std::string peer_identity;   // the other host's
  std::string tls_version;     // "TLSv1.3", empty for plain text
  std::string tls_cipher;
  std::string sni;
  bool tls_resumed = false;
  std::uint64_t bytes_received = 0;  // from the downstream (Envoy's %BYTES_RECEIVED%)
  std::uint64_t bytes_sent = 0;      // to the downstream
  Milliseconds connect_time{0};      // upstream connect and handshake
};

struct AccessLogOptions {
  /// "/dev/stdout": standard output. Empty: no line is written, `recorder` is still fed.
  std::string file{};
  bool json = true;
  /// Used when json is false; Envoy's %COMMAND% names. Empty: kDefaultTemplate.
  std::string template_text{};
  /// Is given each refused or broken connection; outlives the log.
  FlightRecorder* recorder = nullptr;
  /// Between attempts on an output that fails (disk full).
  Milliseconds retry{500};
};

/// Owns the writer thread. Workers call log(); the ring holds kRecords, beyond that records are
/// dropped and counted. While the output does not take lines (a stopped reader, a full disk),
/// kPendingBytes of them wait, further ones are dropped and counted, and `recorder` is fed all the
/// same.
class AccessLog {
 public:
  static constexpr std::size_t kRecords = 1024;
  static constexpr std::size_t kPendingBytes = 256 * 1024;
  /// Fails when the file cannot be opened or the template names an unknown command.
  [[nodiscard]] static Checked<std::unique_ptr<AccessLog>> make(const AccessLogOptions& options);
  /// Writes what waits, for at most a second.
  virtual ~AccessLog() = default;

  /// From any thread; never blocks for the reader or the disk. False: dropped.
  virtual bool log(AccessRecord record) noexcept = 0;
  /// Lines that were lost, in the ring or for want of an output that takes them.
  [[nodiscard]] virtual std::uint64_t dropped() const noexcept = 0;
  /// Lines that the output took whole.
  [[nodiscard]] virtual std::uint64_t written() const noexcept = 0;
  /// Times that the output failed, e.g. for a full disk; each attempt counts.
  [[nodiscard]] virtual std::uint64_t failures() const noexcept = 0;
  /// Opens the file anew (logrotate), soon, on the writer's thread. Where that fails the old file
  /// stays in use.
  virtual void reopen() noexcept = 0;
};

}  // namespace mooring::observe
