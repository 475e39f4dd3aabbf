// An access-log line from a record: as JSON, or by a template with Envoy's %COMMAND% names. Pure;
// used by the log's writer thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"
#include "observe/access_log.h"

namespace mooring::observe {

struct LogCommand;

/// In the manner of Kuma's default for TCP, with identities in the place of service names and our
/// close reason.
inline constexpr std::string_view kDefaultTemplate =
    "[%START_TIME%] %RESPONSE_FLAGS% %MOORING_REASON% "
    "%DOWNSTREAM_REMOTE_ADDRESS%(%DOWNSTREAM_PEER_URI_SAN%)->"
    "%UPSTREAM_HOST%(%UPSTREAM_PEER_URI_SAN%) took %DURATION%ms, sent %BYTES_SENT% bytes, "
    "received: "
    "%BYTES_RECEIVED% bytes";

/// Longest template, and longest line that a record can become before it is cut.
inline constexpr std::size_t kMaxTemplateBytes = 8 * 1024;
inline constexpr std::size_t kMaxLineBytes = 16 * 1024;

/// A parsed template: %COMMAND%, %COMMAND(argument)%, %COMMAND:max_length%, %% for a percent sign.
class LogTemplate {
 public:
  [[nodiscard]] static Checked<LogTemplate> parse(std::string_view text);
  /// Without a line end. No byte below 0x20 comes out of a record's text. A command without a value
  /// prints `absent`: Envoy's "-".
  [[nodiscard]] std::string format(const AccessRecord& record, std::string_view absent = "-") const;
  /// It is one command and nothing else: JSON has a type for its value, and null for none.
  [[nodiscard]] bool is_single() const noexcept;
  /// Appends that value as JSON; "null": there is none. Call only where is_single().
  void append_json(const AccessRecord& record, std::string& out) const;

 private:
  struct Part {
    std::string literal;                  // printed as it is when `command` is null
    const LogCommand* command = nullptr;  // of a constant table
    std::string argument;
    std::size_t max_length = 0;  // 0: no bound
  };

  std::vector<Part> parts_;
};

/// Envoy's json_format: texts with %COMMAND%s in objects and lists, however deep.
class JsonTemplate {
 public:
  /// `json`: a value as text.
  [[nodiscard]] static Checked<JsonTemplate> parse(std::string_view json);
  /// On one line, without a line end. `omits_empty`: what has no value is left out, and an object
  /// of nothing else with it. A line above kMaxLineBytes becomes null.
  [[nodiscard]] std::string format(const AccessRecord& record, bool omits_empty) const;

 private:
  friend class JsonTemplateParser;
  enum class Kind : std::uint8_t { literal, null, text, object, list };
  struct Node {
    Kind kind = Kind::null;
    std::string key;      // of its object, as JSON
    std::string literal;  // as JSON
    LogTemplate text;
    std::vector<Node> children;
  };
  static bool append(const Node& node,
                     const AccessRecord& record,
                     bool omits_empty,
                     std::string& out);

  Node root_;
};

/// One object on one line, without a line end. Absent facts are left out.
[[nodiscard]] std::string format_json(const AccessRecord& record);

/// "2026-11-24T03:06:01.036Z".
[[nodiscard]] std::string format_time(WallTime time);

}  // namespace mooring::observe
