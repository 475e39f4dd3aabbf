// Cluster: envoy.config.cluster.v3.
#include <algorithm>

#include "discovery/decode_parts.h"

namespace mooring::discovery {

namespace {

constexpr int kMaxSocketMatches = 1024;
constexpr int kMaxThresholds = 2;  // a priority each
constexpr std::string_view kHttpOptions = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";

void check_protocol_options(Reader& reader, const cluster_v3::Cluster& message) {
  for (const auto& [name, options] : message.typed_extension_protocol_options()) {
    if (name == kHttpOptions) {
      reader.ignore("typed_extension_protocol_options", "is about HTTP, which passes as bytes");
    } else {
      reader.reject("typed_extension_protocol_options", "has one that is not known to this agent");
    }
  }
}

void decode_bind(Reader& reader, const core_v3::BindConfig& message, snapshot::Cluster& out) {
  const In in(reader, "upstream_bind_config", message);
  if (!message.has_source_address()) return;
  const auto address = read_socket_address(reader, "source_address", message.source_address());
  if (!address) return;
  if (address->port != 0) reader.reject("source_address.port_value", "is not 0");
  if (!address->ip.is_unspecified()) out.bind = address->ip;
}

void decode_circuit_breakers(Reader& reader,
                             const cluster_v3::CircuitBreakers& message,
                             snapshot::CircuitBreakers& out) {
  const In in(reader, "circuit_breakers", message);
  if (!reader.within("thresholds", message.thresholds_size(), kMaxThresholds)) return;
  for (int i = 0; i < message.thresholds_size(); ++i) {
    const auto& threshold = message.thresholds(i);
    const In one(reader, "thresholds", i, threshold);
    // Only HTTP routes have requests of priority HIGH.
    if (threshold.priority() == core_v3::DEFAULT && threshold.has_max_connections())
      out.max_connections = read_u32(reader, "max_connections", threshold.max_connections());
  }
}

void decode_eds(Reader& reader, const cluster_v3::Cluster& message, snapshot::Cluster& out) {
  out.type = snapshot::Cluster::Type::eds;
  const auto& eds = message.eds_cluster_config();
  const In in(reader, "eds_cluster_config", eds);
  out.endpoints_name = eds.service_name().empty()
                           ? out.name
                           : read_resource_name(reader, "service_name", eds.service_name());
  const In config(reader, "eds_config", eds.eds_config());
  if (!eds.eds_config().has_ads()) reader.reject("", "names another source than ADS");
  const In ads(reader, "ads", eds.eds_config().ads());
}

void decode_endpoints(Reader& reader, const cluster_v3::Cluster& message, snapshot::Cluster& out) {
  if (!message.has_load_assignment()) return;
  {
    const In in(reader, "load_assignment", message.load_assignment());
    out.endpoints = decode_load_assignment(reader, message.load_assignment());
  }
  bool is_local = out.type == snapshot::Cluster::Type::static_list;
  bool is_empty = true;
  for (const snapshot::LocalityEndpoints& locality : out.endpoints.localities) {
    for (const snapshot::LbEndpoint& endpoint : locality.endpoints) {
      is_empty = false;
      is_local = is_local && endpoint.address && endpoint.address->ip.is_loopback();
      if (out.type == snapshot::Cluster::Type::static_list && !endpoint.address)
        reader.reject("load_assignment", "has an address that is none, and the type is STATIC");
    }
  }
  out.local = is_local && !is_empty;
}

void decode_type(Reader& reader, const cluster_v3::Cluster& message, snapshot::Cluster& out) {
  using Type = snapshot::Cluster::Type;
  const bool has_endpoints = message.has_load_assignment();
  switch (message.type()) {
    case cluster_v3::Cluster::STATIC:
    case cluster_v3::Cluster::STRICT_DNS:
      out.type =
          message.type() == cluster_v3::Cluster::STATIC ? Type::static_list : Type::strict_dns;
      return decode_endpoints(reader, message, out);
    case cluster_v3::Cluster::EDS:
      decode_eds(reader, message, out);
      break;
    case cluster_v3::Cluster::ORIGINAL_DST:
      out.type = Type::original_dst;
      break;
    default:
      reader.reject("type", "is not supported");
  }
  if (has_endpoints) reader.reject("load_assignment", "is not for a cluster of this type");
}

void decode_socket_matches(Reader& reader,
                           const cluster_v3::Cluster& message,
                           TlsScope scope,
                           snapshot::Cluster& out) {
  constexpr std::string_view kField = "transport_socket_matches";
  if (!reader.within(kField, message.transport_socket_matches_size(), kMaxSocketMatches)) return;
  for (int i = 0; i < message.transport_socket_matches_size() && reader.ok(); ++i) {
    const auto& entry = message.transport_socket_matches(i);
    const In in(reader, kField, i, entry);
    snapshot::SocketMatch match;
    match.name = read_text(reader, "name", entry.name());
    match.match = read_strings(entry.match());
    if (match.match.size() != entry.match().fields().size())
      reader.reject("match", "has a value that is no string");
    const In socket(reader, "transport_socket", entry.transport_socket());
    match.tls = decode_upstream_socket(reader, entry.transport_socket(), scope);
    out.socket_matches.push_back(std::move(match));
  }
}

}  // namespace

snapshot::Cluster decode_cluster(Reader& reader,
                                 const cluster_v3::Cluster& message,
                                 std::vector<snapshot::Secret>& secrets) {
  snapshot::Cluster out;
  const In in(reader, "", message);
  out.name = read_resource_name(reader, "name", message.name());
  decode_type(reader, message, out);
  out.lb = decode_load_balancing(reader, message);
  if (message.has_circuit_breakers())
    decode_circuit_breakers(reader, message.circuit_breakers(), out.circuit_breakers);
  if (message.has_outlier_detection())
    out.outlier_detection = decode_outlier_detection(reader, message.outlier_detection());
  out.health_checks = decode_health_checks(reader, message);
  if (message.has_connect_timeout()) {
    out.connect_timeout = read_duration(reader, "connect_timeout", message.connect_timeout());
    if (out.connect_timeout == Milliseconds(0)) reader.reject("connect_timeout", "is 0");
  }
  if (message.has_upstream_bind_config()) decode_bind(reader, message.upstream_bind_config(), out);
  const TlsScope scope{out.name, secrets};
  if (message.has_transport_socket()) {
    const In socket(reader, "transport_socket", message.transport_socket());
    out.tls = decode_upstream_socket(reader, message.transport_socket(), scope);
  }
  decode_socket_matches(reader, message, scope, out);
  check_protocol_options(reader, message);
  return out;
}

PipeCluster decode_pipe_cluster(Reader& reader,
                                const cluster_v3::Cluster& message,
                                const std::string& path) {
  PipeCluster out;
  const In in(reader, "", message);
  out.name = read_resource_name(reader, "name", message.name());
  out.path = read_name(reader, "load_assignment", path);
  if (message.type() != cluster_v3::Cluster::STATIC)
    reader.reject("type", "is not STATIC, and the address is a unix socket");
  if (message.has_transport_socket() || message.transport_socket_matches_size() > 0)
    reader.reject("transport_socket", "is not supported on a unix socket");
  check_protocol_options(reader, message);
  return out;
}

}  // namespace mooring::discovery
