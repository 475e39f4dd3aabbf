// What the decoders share: where they are in a resource, the first thing that was wrong, and a look
// at the fields that our trimmed messages do not know. Internal to discovery.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "discovery/decode.h"
#include "xdsapi/core.pb.h"
#include "xdsapi/string_matcher.pb.h"
#include "xdsapi/unknown_fields.h"
#include "xdsapi/well_known.pb.h"

namespace mooring::discovery {

/// A field of the public API that our messages leave out: why it does not matter here. Without a
/// reason it does: the resource is rejected, and the list only knows the field's name.
struct LeftOutField {
  std::string_view name;
  std::string_view harmless_because;
};

/// None: not on the list.
[[nodiscard]] std::optional<LeftOutField> find_left_out(std::string_view message,
                                                        std::uint32_t number);

class Reader {
 public:
  explicit Reader(std::vector<Note>* ignored) : ignored_(ignored) {}

  /// Of several the first one stays. `field` is below the present one; empty: the present one.
  void reject(std::string_view field, std::string reason);
  void warn(std::string_view field, std::string text);
  void ignore(std::string_view field, std::string_view reason);
  [[nodiscard]] bool ok() const noexcept { return !rejected_; }

  /// Rejects for bytes that are no such message.
  template <class Message>
  [[nodiscard]] bool parse(std::string_view bytes, Message& out) {
    if (out.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) return true;
    reject("", "cannot be read as " + out.GetTypeName());
    return false;
  }
  /// Rejects where `unknown`, encoded fields of `message`, has one that matters.
  void check_unknown(std::string_view message, std::string_view unknown);
  /// Rejects for more elements than `max`.
  bool within(std::string_view field, int count, int max);

  [[nodiscard]] const std::optional<Note>& rejected() const noexcept { return rejected_; }
  [[nodiscard]] std::vector<Note>& warnings() noexcept { return warnings_; }
  [[nodiscard]] const std::string& path() const noexcept { return path_; }

 private:
  friend class In;
  [[nodiscard]] std::string path_to(std::string_view field) const;

  std::string path_;
  std::optional<Note> rejected_;
  std::vector<Note> warnings_;
  std::vector<Note>* ignored_;
};

/// The message in a field: while this lives, paths begin there. What is unknown in it is looked at.
class In {
 public:
  template <class Message>
  In(Reader& reader, std::string_view field, const Message& message) : In(reader, field) {
    reader.check_unknown(message.GetTypeName(), xdsapi::UnknownFields::of(message));
  }
  template <class Message>
  In(Reader& reader, std::string_view field, int index, const Message& message)
      : In(reader, std::string(field) + "[" + std::to_string(index) + "]") {
    reader.check_unknown(message.GetTypeName(), xdsapi::UnknownFields::of(message));
  }
  ~In() { reader_.path_.resize(before_); }
  In(const In&) = delete;
  In& operator=(const In&) = delete;

 private:
  In(Reader& reader, std::string_view field);

  Reader& reader_;
  std::size_t before_;
};

namespace core_v3 = envoy::config::core::v3;

inline constexpr std::size_t kMaxTextBytes = 64u << 10;  // a log format
inline constexpr std::size_t kMaxPemBytes = 1u << 20;    // 500 certificates of 2 KiB

/// The message's full name; empty when the URL has none.
[[nodiscard]] std::string_view type_name(const google::protobuf::Any& any);

/// Rejects for more than `max` bytes.
[[nodiscard]] std::string read_text(Reader& reader,
                                    std::string_view field,
                                    const std::string& text,
                                    std::size_t max = kMaxResourceName);
/// As read_text, and rejects an empty one.
[[nodiscard]] std::string read_name(Reader& reader,
                                    std::string_view field,
                                    const std::string& text);
/// Of a resource: it is asked for, logged and shown as it is.
[[nodiscard]] std::string read_resource_name(Reader& reader,
                                             std::string_view field,
                                             const std::string& name);
/// What is below a millisecond counts as one. Rejects what is negative or above 10 years.
[[nodiscard]] Milliseconds read_duration(Reader& reader,
                                         std::string_view field,
                                         const google::protobuf::Duration& duration);
[[nodiscard]] std::uint32_t read_u32(Reader& reader,
                                     std::string_view field,
                                     const google::protobuf::UInt32Value& value,
                                     std::uint32_t min = 0,
                                     std::uint32_t max = std::numeric_limits<std::uint32_t>::max());
[[nodiscard]] bool read_bool(Reader& reader,
                             std::string_view field,
                             const google::protobuf::BoolValue& value);
/// TCP, and an address that is one. Port 0 is left to the caller.
[[nodiscard]] std::optional<SocketAddress> read_socket_address(
    Reader& reader, std::string_view field, const core_v3::SocketAddress& address);
/// Host bits are cleared, as Envoy does.
[[nodiscard]] IpPrefix read_prefix(Reader& reader,
                                   std::string_view field,
                                   const core_v3::CidrRange& range);
/// Only what is inline: a file named by the control plane is not read.
[[nodiscard]] std::string read_data(Reader& reader,
                                    std::string_view field,
                                    const core_v3::DataSource& source,
                                    std::size_t max);

/// RE2 syntax that compiles.
[[nodiscard]] std::string read_regex(Reader& reader,
                                     std::string_view field,
                                     const std::string& text);

/// envoy.type.matcher.v3 and xds.type.matcher.v3 have a StringMatcher of the same shape.
template <class Matcher>
[[nodiscard]] snapshot::StringMatcher read_matcher(Reader& reader,
                                                   std::string_view field,
                                                   const Matcher& matcher) {
  using Kind = snapshot::StringMatcher::Kind;
  const In in(reader, field, matcher);
  snapshot::StringMatcher out;
  out.ignore_case = matcher.ignore_case();
  switch (matcher.match_pattern_case()) {
    case Matcher::kExact:
      out.text = read_text(reader, "exact", matcher.exact());
      break;
    case Matcher::kPrefix:
      out.kind = Kind::prefix;
      out.text = read_name(reader, "prefix", matcher.prefix());
      break;
    case Matcher::kSuffix:
      out.kind = Kind::suffix;
      out.text = read_name(reader, "suffix", matcher.suffix());
      break;
    case Matcher::kContains:
      out.kind = Kind::contains;
      out.text = read_name(reader, "contains", matcher.contains());
      break;
    case Matcher::kSafeRegex: {
      const In regex(reader, "safe_regex", matcher.safe_regex());
      out.kind = Kind::safe_regex;
      out.ignore_case = false;  // Envoy: no effect
      out.text = read_regex(reader, "regex", matcher.safe_regex().regex());
      break;
    }
    case Matcher::MATCH_PATTERN_NOT_SET:
      reader.reject("", "has no pattern");
      break;
  }
  return out;
}

/// The strings of metadata; other values are left out.
[[nodiscard]] std::map<std::string, std::string> read_strings(
    const google::protobuf::Struct& values);
/// As JSON text with sorted keys. Rejects for one that is nested too deep or too large.
[[nodiscard]] std::string read_json(Reader& reader,
                                    std::string_view field,
                                    const google::protobuf::Struct& values);

}  // namespace mooring::discovery
