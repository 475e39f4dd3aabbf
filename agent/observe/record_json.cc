#include "observe/record_json.h"

#include "core/escape.h"
#include "observe/log_format.h"

namespace mooring::observe {

namespace {

// A SPIFFE ID has at most 2048 bytes (SPIFFE-ID §2.3); a cut one would be another identity.
constexpr std::size_t kMaxIdentityBytes = 2048;

using Json = nlohmann::ordered_json;

void put_text(Json& out, const char* key, const std::string& value, std::size_t max_bytes = 256) {
  if (!value.empty()) out[key] = escape_peer_text(value, max_bytes);
}

void put_address(Json& out, const char* key, const SocketAddress& address) {
  if (address.port != 0) out[key] = address.to_string();
}

}  // namespace

Json to_json(const AccessRecord& record) {
  Json out = Json::object();
  out["time"] = format_time(record.start);
  out["id"] = record.id;
  out["direction"] = to_string(record.direction);
  out["reason"] = to_string(record.reason);
  out["response_flags"] = response_flags(record.reason, record.direction);
  put_text(out, "detail", record.detail);
  put_text(out, "listener", record.listener);
  put_text(out, "cluster", record.cluster);
  put_text(out, "rule", record.rule);
  put_text(out, "shadow_rule", record.shadow_rule);
  put_address(out, "downstream_remote", record.downstream_remote);
  put_address(out, "downstream_local", record.downstream_local);
  put_address(out, "upstream_remote", record.upstream_remote);
  put_address(out, "upstream_local", record.upstream_local);
  put_text(out, "local_identity", record.local_identity, kMaxIdentityBytes);
  put_text(out, "peer_identity", record.peer_identity, kMaxIdentityBytes);
  put_text(out, "tls_version", record.tls_version);
  put_text(out, "tls_cipher", record.tls_cipher);
  put_text(out, "sni", record.sni);
  if (!record.tls_version.empty()) out["tls_resumed"] = record.tls_resumed;
  out["bytes_received"] = record.bytes_received;
  out["bytes_sent"] = record.bytes_sent;
  out["duration_ms"] = record.duration.count();
  out["connect_ms"] = record.connect_time.count();
  return out;
}

std::string dump(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string format_json(const AccessRecord& record) {
  return dump(to_json(record));
}

}  // namespace mooring::observe
