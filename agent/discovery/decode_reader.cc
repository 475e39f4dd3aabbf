#include "discovery/decode_reader.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/stubs/logging.h>
#include <google/protobuf/wire_format_lite.h>

#include <algorithm>

#include <nlohmann/json.hpp>

#include "snapshot/regexes.h"

namespace mooring::discovery {

namespace {

namespace pb = google::protobuf;

constexpr std::int64_t kMaxSeconds = 10LL * 365 * 24 * 3600;
constexpr int kMaxJsonDepth = 16;
constexpr std::size_t kMaxNote = 500;
constexpr std::size_t kMaxWarnings = 64;

// The library writes to standard error what the reason of a rejection says anyway.
[[maybe_unused]] pb::LogHandler* const kLibraryIsQuiet = pb::SetLogHandler(nullptr);

}  // namespace

std::string Reader::path_to(std::string_view field) const {
  if (path_.empty() || field.empty()) return path_ + std::string(field);
  return path_ + "." + std::string(field);
}

void Reader::reject(std::string_view field, std::string reason) {
  if (rejected_) return;
  reason.resize(std::min(reason.size(), kMaxNote));  // a peer's names may be in it
  rejected_ = Note{path_to(field).substr(0, kMaxNote), std::move(reason)};
}

void Reader::warn(std::string_view field, std::string text) {
  text.resize(std::min(text.size(), kMaxNote));
  if (warnings_.size() < kMaxWarnings) warnings_.push_back({path_to(field), std::move(text)});
}

void Reader::ignore(std::string_view field, std::string_view reason) {
  if (ignored_ != nullptr) ignored_->push_back({path_to(field), std::string(reason)});
}

bool Reader::within(std::string_view field, int count, int max) {
  if (count <= max) return true;
  reject(field, "has " + std::to_string(count) + " elements, at most " + std::to_string(max));
  return false;
}

void Reader::check_unknown(std::string_view message, std::string_view unknown) {
  pb::io::CodedInputStream input(reinterpret_cast<const std::uint8_t*>(unknown.data()),
                                 static_cast<int>(unknown.size()));
  std::uint32_t before = 0;
  while (const std::uint32_t tag = input.ReadTag()) {
    const auto number =
        static_cast<std::uint32_t>(pb::internal::WireFormatLite::GetTagFieldNumber(tag));
    if (!pb::internal::WireFormatLite::SkipField(&input, tag))
      return reject("", "cannot be read as " + std::string(message));
    if (number == before) continue;  // elements of one field
    before = number;
    const std::optional<LeftOutField> known = find_left_out(message, number);
    if (!known) {
      reject("field " + std::to_string(number), "is not known to this agent");
    } else if (known->harmless_because.empty()) {
      reject(known->name, "is not supported");
    } else {
      ignore(known->name, known->harmless_because);
    }
  }
  if (!input.ConsumedEntireMessage()) reject("", "cannot be read as " + std::string(message));
}

In::In(Reader& reader, std::string_view field) : reader_(reader), before_(reader.path_.size()) {
  if (!reader.path_.empty() && !field.empty()) reader.path_ += '.';
  reader.path_ += field;
}

std::string_view type_name(const pb::Any& any) {
  const std::string_view url = any.type_url();
  const std::size_t slash = url.rfind('/');
  return slash == std::string_view::npos ? std::string_view() : url.substr(slash + 1);
}

std::string read_text(Reader& reader,
                      std::string_view field,
                      const std::string& text,
                      std::size_t max) {
  if (text.size() <= max) return text;
  reader.reject(field, "is longer than " + std::to_string(max) + " bytes");
  return {};
}

std::string read_name(Reader& reader, std::string_view field, const std::string& text) {
  if (text.empty()) reader.reject(field, "is empty");
  return read_text(reader, field, text);
}

std::string read_regex(Reader& reader, std::string_view field, const std::string& text) {
  snapshot::Regexes regexes;
  std::string out = read_name(reader, field, text);
  if (const auto added = regexes.add(out); !added) reader.reject(field, added.error().message);
  return out;
}

std::string read_resource_name(Reader& reader, std::string_view field, const std::string& name) {
  if (is_resource_name(name)) return name;
  reader.reject(field, "is no name of a resource");
  return {};
}

Milliseconds read_duration(Reader& reader, std::string_view field, const pb::Duration& duration) {
  const In in(reader, field, duration);
  if (duration.seconds() < 0 || duration.nanos() < 0 || duration.seconds() > kMaxSeconds ||
      duration.nanos() > 999'999'999) {
    reader.reject("", "is not a duration of at most 10 years");
    return {};
  }
  return Milliseconds(duration.seconds() * 1000 + (duration.nanos() + 999'999) / 1'000'000);
}

std::uint32_t read_u32(Reader& reader,
                       std::string_view field,
                       const pb::UInt32Value& value,
                       std::uint32_t min,
                       std::uint32_t max) {
  const In in(reader, field, value);
  if (value.value() < min || value.value() > max) {
    reader.reject("",
                  "is " + std::to_string(value.value()) + ", not between " + std::to_string(min) +
                      " and " + std::to_string(max));
  }
  return value.value();
}

bool read_bool(Reader& reader, std::string_view field, const pb::BoolValue& value) {
  const In in(reader, field, value);
  return value.value();
}

std::optional<SocketAddress> read_socket_address(Reader& reader,
                                                 std::string_view field,
                                                 const core_v3::SocketAddress& address) {
  const In in(reader, field, address);
  if (address.protocol() != core_v3::SocketAddress::TCP) reader.reject("protocol", "is not TCP");
  if (address.port_value() > 65535) reader.reject("port_value", "is above 65535");
  const Result<IpAddress> ip = parse_ip(address.address());
  if (!ip) {
    reader.reject("address", "is no IP address");
    return std::nullopt;
  }
  return SocketAddress{*ip, static_cast<std::uint16_t>(address.port_value())};
}

IpPrefix read_prefix(Reader& reader, std::string_view field, const core_v3::CidrRange& range) {
  const In in(reader, field, range);
  const Result<IpAddress> ip = parse_ip(range.address_prefix());
  if (!ip) {
    reader.reject("address_prefix", "is no IP address");
    return {};
  }
  const unsigned bits = ip->is_v4() ? 32 : 128;
  const unsigned length =
      range.has_prefix_len() ? read_u32(reader, "prefix_len", range.prefix_len(), 0, bits) : 0;
  if (length > bits) return {};
  auto bytes = ip->bytes();
  for (unsigned bit = length; bit < bits; ++bit)
    bytes[bit / 8] = static_cast<std::uint8_t>(bytes[bit / 8] & ~(0x80u >> (bit % 8)));
  IpAddress base = IpAddress::v6(bytes);
  if (ip->is_v4()) {
    base = IpAddress::v4(std::uint32_t{bytes[0]} << 24 | std::uint32_t{bytes[1]} << 16 |
                         std::uint32_t{bytes[2]} << 8 | bytes[3]);
  }
  return {base, static_cast<std::uint8_t>(length)};
}

std::string read_data(Reader& reader,
                      std::string_view field,
                      const core_v3::DataSource& source,
                      std::size_t max) {
  const In in(reader, field, source);
  switch (source.specifier_case()) {
    case core_v3::DataSource::kInlineBytes:
      return read_text(reader, "inline_bytes", source.inline_bytes(), max);
    case core_v3::DataSource::kInlineString:
      return read_text(reader, "inline_string", source.inline_string(), max);
    case core_v3::DataSource::kFilename:
      reader.reject("filename", "names a file of this host, which a control plane may not");
      break;
    case core_v3::DataSource::SPECIFIER_NOT_SET:
      reader.reject("", "has no content");
      break;
  }
  return {};
}

std::map<std::string, std::string> read_strings(const pb::Struct& values) {
  std::map<std::string, std::string> out;
  for (const auto& [key, value] : values.fields()) {
    if (value.kind_case() == pb::Value::kStringValue) out[key] = value.string_value();
  }
  return out;
}

namespace {

/// Clears `fits` for what is nested too deep.
nlohmann::json to_json(const pb::Value& value, int depth, bool& fits);

nlohmann::json to_json(const pb::Struct& values, int depth, bool& fits) {
  nlohmann::json object = nlohmann::json::object();
  for (const auto& [key, value] : values.fields())
    object[key] = to_json(value, depth + 1, fits);
  return object;
}

nlohmann::json to_json(const pb::Value& value, int depth, bool& fits) {
  if (depth > kMaxJsonDepth) {
    fits = false;
    return nullptr;
  }
  switch (value.kind_case()) {
    case pb::Value::kNumberValue:
      return value.number_value();
    case pb::Value::kStringValue:
      return value.string_value();
    case pb::Value::kBoolValue:
      return value.bool_value();
    case pb::Value::kStructValue:
      return to_json(value.struct_value(), depth, fits);
    case pb::Value::kListValue: {
      nlohmann::json list = nlohmann::json::array();
      for (const pb::Value& element : value.list_value().values())
        list.push_back(to_json(element, depth + 1, fits));
      return list;
    }
    case pb::Value::kNullValue:
    case pb::Value::KIND_NOT_SET:
      break;
  }
  return nullptr;
}

}  // namespace

std::string read_json(Reader& reader, std::string_view field, const pb::Struct& values) {
  bool fits = true;
  const nlohmann::json object = to_json(values, 0, fits);
  if (!fits) reader.reject(field, "is nested too deep");
  const std::string text = object.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  return read_text(reader, field, text, kMaxTextBytes);
}

}  // namespace mooring::discovery
