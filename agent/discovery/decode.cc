#include "discovery/decode.h"

#include "discovery/decode_parts.h"

namespace mooring::discovery {

namespace {

// Each decodes into `out`, and says what the resource calls itself.

template <class Message>
bool parse_whole(Reader& reader, std::string_view bytes, Message& message) {
  if (bytes.size() <= kMaxResourceBytes) return reader.parse(bytes, message);
  reader.reject("", "is longer than " + std::to_string(kMaxResourceBytes) + " bytes");
  return false;
}

std::string decode_a_cluster(Reader& reader, std::string_view bytes, Decoded& out) {
  cluster_v3::Cluster message;
  if (!parse_whole(reader, bytes, message)) return {};
  if (const auto path = pipe_of(message.load_assignment())) {
    out.resource = decode_pipe_cluster(reader, message, *path);
  } else {
    out.resource = decode_cluster(reader, message, out.secrets);
  }
  return message.name();
}

std::string decode_an_assignment(Reader& reader, std::string_view bytes, Decoded& out) {
  endpoint_v3::ClusterLoadAssignment message;
  if (!parse_whole(reader, bytes, message)) return {};
  const In in(reader, "", message);
  out.resource = decode_load_assignment(reader, message);
  return message.cluster_name();
}

std::string decode_a_listener(Reader& reader, std::string_view bytes, Decoded& out) {
  listener_v3::Listener message;
  if (!parse_whole(reader, bytes, message)) return {};
  if (const auto kind = system_kind(message)) {
    out.resource = decode_system_listener(reader, *kind, message, out.secrets);
  } else {
    out.resource = decode_listener(reader, message, out.secrets);
  }
  return message.name();
}

std::string decode_a_secret(Reader& reader, std::string_view bytes, Decoded& out) {
  tls_v3::Secret message;
  if (!parse_whole(reader, bytes, message)) return {};
  out.resource = decode_secret(reader, message);
  return message.name();
}

std::string decode_a(ResourceKind kind, Reader& reader, std::string_view bytes, Decoded& out) {
  switch (kind) {
    case ResourceKind::cluster:
      return decode_a_cluster(reader, bytes, out);
    case ResourceKind::endpoints:
      return decode_an_assignment(reader, bytes, out);
    case ResourceKind::secret:
      return decode_a_secret(reader, bytes, out);
    case ResourceKind::listener:
      return decode_a_listener(reader, bytes, out);
  }
  return {};
}

}  // namespace

const std::string& name_of(const Decoded& decoded) {
  return std::visit([](const auto& r) -> const std::string& { return r.name; }, decoded.resource);
}

std::optional<SdsName> parse_sds_name(std::string_view secret) noexcept {
  if (!secret.starts_with(kSdsSecret)) return std::nullopt;
  secret.remove_prefix(kSdsSecret.size());
  const std::size_t slash = secret.find('/');
  if (slash == std::string_view::npos) return std::nullopt;
  return SdsName{secret.substr(0, slash), secret.substr(slash + 1)};
}

std::string describe(const Rejected& rejected) {
  std::string out = rejected.name;
  for (const std::string& part : {rejected.field, rejected.reason}) {
    if (part.empty()) continue;
    if (!out.empty()) out += ": ";
    out += part;
  }
  return out;
}

DecodeResult decode(std::string_view type_url,
                    std::string_view name,
                    std::string_view bytes,
                    std::vector<Note>* ignored) {
  Reader reader(ignored);
  Decoded out;
  std::string inside;
  if (const auto kind = kind_of(type_url)) {
    inside = decode_a(*kind, reader, bytes, out);
  } else {
    reader.reject("", "is of a type that this agent does not know");
  }
  if (reader.ok() && !name.empty() && inside != name)
    reader.reject("name", "is not what the response calls it");
  if (const auto& rejected = reader.rejected()) {
    return tl::unexpected(
        Rejected{name.empty() ? inside : std::string(name), rejected->field, rejected->text});
  }
  out.warnings = std::move(reader.warnings());
  return out;
}

}  // namespace mooring::discovery
