// One record per connection, from a worker to the log's writer thread through a bounded ring that
// never blocks.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/address.h"
#include "core/clock.h"
#include "core/result.h"
#include "observe/close_reason.h"

namespace mooring::observe {

class FlightRecorder;

/// Another place for a connection's line, as a control plane names it (Envoy's file access logger).
struct LogSink {
  std::string path;  // "/dev/stdout" is one too
  std::string text_format;
  std::string json_format;  // a JSON object; both formats empty: Envoy's default
  bool omits_empty = false;

  friend auto operator<=>(const LogSink&, const LogSink&) = default;
};
/// Fails with what is wrong with the format, e.g. a command that we do not know.
[[nodiscard]] Checked<void> check_sink(const LogSink& sink);

/// A sink that takes no lines at the moment, or takes them again.
struct SinkProblem {
  std::string sink;  // path, or "tcp:10.0.0.9:9999"
  std::string text;  // empty: it takes them again
};

/// The address of a sink's host; none: the name has none.
struct SinkHost {
  std::string name;
  std::optional<IpAddress> address;
};

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
  std::vector<LogSink> sinks;        // where its line goes as well
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
  /// No sink writes below these folders: the agent's own state.
  std::vector<std::string> own_folders{};
};

/// Owns the writer thread. Workers call log(); the ring holds kRecords, beyond that records are
/// dropped and counted. While the output does not take lines (a stopped reader, a full disk),
/// kPendingBytes of them wait, further ones are dropped and counted, and `recorder` is fed all the
/// same. Each sink of records holds kSinkPendingBytes for itself; at most kSinks are open.
class AccessLog {
 public:
  static constexpr std::size_t kRecords = 1024;
  static constexpr std::size_t kPendingBytes = 256 * 1024;
  static constexpr std::size_t kSinkPendingBytes = 64 * 1024;
  static constexpr std::size_t kSinks = 32;
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
  /// Opens the file and those of sinks anew (logrotate), soon, on the writer's thread. Where that
  /// fails the old file stays in use.
  virtual void reopen() noexcept = 0;
  /// The sinks that take no lines now. One thread only.
  [[nodiscard]] virtual std::vector<SinkProblem> sink_problems() = 0;
  /// A host whose address a sink waits for, once for each connection. One thread only.
  [[nodiscard]] virtual std::optional<std::string> next_wanted_host() = 0;
  /// The answer. The same thread.
  virtual void tell(SinkHost host) = 0;
};

}  // namespace mooring::observe
