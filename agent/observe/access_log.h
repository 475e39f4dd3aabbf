// One record per connection, from a worker to the log's writer thread through a bounded ring that never blocks.
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

enum class Direction : std::uint8_t { inbound, outbound };

/// What is known when a connection ends. Strings are empty where a fact does not exist. Peer-chosen text
/// (identities, SNI) is escaped by the formatter.
struct AccessRecord {
  std::uint64_t id = 0;  // worker and sequence; joins the access log with `mooring why`
  WallTime start;
  Milliseconds duration{0};
  Direction direction = Direction::inbound;
  CloseReason reason = CloseReason::closed;
  std::string detail;            // e.g. a TLS library's reason or an errno text
  std::string listener;          // service or upstream name
  std::string cluster;
  std::string rule;              // of authorization, empty if none matched
  std::string shadow_rule;       // what a shadow rule would have done: "deny:NAME", or empty
  SocketAddress downstream_remote;
  SocketAddress downstream_local;  // the original destination
  SocketAddress upstream_remote;   // port 0: never connected
  SocketAddress upstream_local;
  std::string local_identity;    // our SPIFFE ID
  std::string peer_identity;     // the other host's
  std::string tls_version;       // "TLSv1.3", empty for plain text
  std::string tls_cipher;
  std::string sni;
  bool tls_resumed = false;
  std::uint64_t bytes_received = 0;  // from the downstream (Envoy's %BYTES_RECEIVED%)
  std::uint64_t bytes_sent = 0;      // to the downstream
  Milliseconds connect_time{0};      // upstream connect and handshake
};

struct AccessLogOptions {
  std::string file;           // "/dev/stdout" writes to standard output
  bool json = true;
  std::string template_text;  // used when json is false; Envoy's %COMMAND% names; empty: Envoy's TCP default
};

/// Owns the writer thread. Workers call log(); the ring holds kRecords, beyond that records are dropped and counted.
class AccessLog {
 public:
  static constexpr std::size_t kRecords = 1024;
  /// Fails when the file cannot be opened or the template names an unknown command.
  [[nodiscard]] static Checked<std::unique_ptr<AccessLog>> make(const AccessLogOptions& options);
  virtual ~AccessLog() = default;

  /// From any worker; never blocks for the reader or the disk. False: dropped.
  virtual bool log(AccessRecord record) noexcept = 0;
  [[nodiscard]] virtual std::uint64_t dropped() const noexcept = 0;
  [[nodiscard]] virtual std::uint64_t written() const noexcept = 0;
  /// Opens the file anew (logrotate); control thread.
  virtual void reopen() = 0;
};

}  // namespace mooring::observe
