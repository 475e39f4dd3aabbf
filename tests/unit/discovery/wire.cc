#include "wire.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <google/protobuf/wire_format_lite.h>

#include <optional>

namespace mooring::discovery {

namespace {

namespace io = google::protobuf::io;
using Wire = google::protobuf::internal::WireFormatLite;

// Number 536870911, a varint.
constexpr std::string_view kUnknown = "\xf8\xff\xff\xff\x0f\x01";

struct Field {
  std::uint32_t tag;
  std::string_view all;      // with tag
  std::string_view content;  // of wire type 2
};

/// None: it is no message.
std::optional<std::vector<Field>> fields_of(std::string_view bytes) {
  io::CodedInputStream input(reinterpret_cast<const std::uint8_t*>(bytes.data()),
                             static_cast<int>(bytes.size()));
  std::vector<Field> out;
  while (true) {
    const int begin = input.CurrentPosition();
    const std::uint32_t tag = input.ReadTag();
    if (tag == 0) break;
    std::uint32_t size = 0;
    std::string_view content;
    if (Wire::GetTagWireType(tag) == Wire::WIRETYPE_LENGTH_DELIMITED) {
      if (!input.ReadVarint32(&size)) return std::nullopt;
      content = bytes.substr(static_cast<std::size_t>(input.CurrentPosition()), size);
      if (content.size() != size || !input.Skip(static_cast<int>(size))) return std::nullopt;
    } else if (!Wire::SkipField(&input, tag)) {
      return std::nullopt;
    }
    const auto end = static_cast<std::size_t>(input.CurrentPosition());
    const auto from = static_cast<std::size_t>(begin);
    out.push_back({tag, bytes.substr(from, end - from), content});
  }
  if (!input.ConsumedEntireMessage()) return std::nullopt;
  return out;
}

std::string encoded(std::uint32_t tag, std::string_view content) {
  std::string out;
  io::StringOutputStream stream(&out);
  {
    io::CodedOutputStream output(&stream);
    output.WriteTag(tag);
    output.WriteVarint32(static_cast<std::uint32_t>(content.size()));
    output.WriteRaw(content.data(), static_cast<int>(content.size()));
  }
  return out;
}

}  // namespace

std::vector<Variant> with_unknown_field(std::string_view bytes) {
  std::vector<Variant> out{{"", std::string(bytes) + std::string(kUnknown)}};
  const auto fields = fields_of(bytes);
  if (!fields) return {};
  std::string before;
  std::size_t done = 0;
  for (const Field& field : *fields) {
    done += field.all.size();
    if (Wire::GetTagWireType(field.tag) == Wire::WIRETYPE_LENGTH_DELIMITED) {
      const std::string number = std::to_string(Wire::GetTagFieldNumber(field.tag));
      for (Variant& inner : with_unknown_field(field.content)) {
        out.push_back({inner.path.empty() ? number : number + "." + inner.path,
                       before + encoded(field.tag, inner.bytes) + std::string(bytes.substr(done))});
      }
    }
    before += field.all;
  }
  return out;
}

}  // namespace mooring::discovery
