// ClusterLoadAssignment: envoy.config.endpoint.v3.
#include "discovery/decode_parts.h"

namespace mooring::discovery {

namespace {

constexpr int kMaxLocalities = 4096;
constexpr int kMaxEndpoints = 100'000;       // of an assignment
constexpr std::uint32_t kMaxPriority = 128;  // Envoy's
constexpr std::string_view kSocketMatch = "envoy.transport_socket_match";

snapshot::HealthStatus decode_health(core_v3::HealthStatus status) {
  using snapshot::HealthStatus;
  switch (status) {
    case core_v3::HEALTHY:
      return HealthStatus::healthy;
    case core_v3::UNHEALTHY:
      return HealthStatus::unhealthy;
    case core_v3::DRAINING:
      return HealthStatus::draining;
    case core_v3::TIMEOUT:
      return HealthStatus::timeout;
    case core_v3::DEGRADED:
      return HealthStatus::degraded;
    default:
      return HealthStatus::unknown;
  }
}

/// An IP address, or the name of a host that is looked up.
void decode_address(Reader& reader, const core_v3::Address& message, snapshot::LbEndpoint& out) {
  const In in(reader, "address", message);
  if (!message.has_socket_address()) {
    reader.reject("", "is no socket address");
    return;
  }
  const core_v3::SocketAddress& socket = message.socket_address();
  if (socket.port_value() == 0) reader.reject("socket_address.port_value", "is 0");
  if (parse_ip(socket.address())) {
    out.address = read_socket_address(reader, "socket_address", socket);
    return;
  }
  const In host(reader, "socket_address", socket);
  if (socket.protocol() != core_v3::SocketAddress::TCP) reader.reject("protocol", "is not TCP");
  if (socket.port_value() > 65535) reader.reject("port_value", "is above 65535");
  out.host_name = read_name(reader, "address", socket.address());
  if (out.host_name.size() > 253) reader.reject("address", "is longer than a host name may be");
  out.port = static_cast<std::uint16_t>(socket.port_value());
}

void decode_metadata(Reader& reader, const core_v3::Metadata& message, snapshot::LbEndpoint& out) {
  const In in(reader, "metadata", message);
  const auto& all = message.filter_metadata();
  const auto found = all.find(std::string(kSocketMatch));
  if (found != all.end()) out.transport_socket_match = read_strings(found->second);
}

snapshot::LbEndpoint decode_lb_endpoint(Reader& reader, const endpoint_v3::LbEndpoint& message) {
  snapshot::LbEndpoint out;
  {
    const In in(reader, "endpoint", message.endpoint());
    decode_address(reader, message.endpoint().address(), out);
  }
  out.health = decode_health(message.health_status());
  if (message.has_metadata()) decode_metadata(reader, message.metadata(), out);
  if (message.has_load_balancing_weight())
    out.weight = read_u32(reader, "load_balancing_weight", message.load_balancing_weight(), 1);
  return out;
}

snapshot::LocalityEndpoints decode_locality(Reader& reader,
                                            const endpoint_v3::LocalityLbEndpoints& message) {
  snapshot::LocalityEndpoints out;
  {
    const In in(reader, "locality", message.locality());
    out.region = read_text(reader, "region", message.locality().region());
    out.zone = read_text(reader, "zone", message.locality().zone());
    out.sub_zone = read_text(reader, "sub_zone", message.locality().sub_zone());
  }
  if (message.priority() > kMaxPriority) reader.reject("priority", "is above 128");
  out.priority = message.priority();
  if (message.has_load_balancing_weight())
    out.weight = read_u32(reader, "load_balancing_weight", message.load_balancing_weight(), 1);
  std::uint64_t sum = 0;
  out.endpoints.reserve(static_cast<std::size_t>(message.lb_endpoints_size()));
  for (int i = 0; i < message.lb_endpoints_size() && reader.ok(); ++i) {
    const In in(reader, "lb_endpoints", i, message.lb_endpoints(i));
    out.endpoints.push_back(decode_lb_endpoint(reader, message.lb_endpoints(i)));
    sum += out.endpoints.back().weight;
  }
  if (sum > std::numeric_limits<std::uint32_t>::max())
    reader.reject("lb_endpoints", "has weights that add up to more than 4294967295");
  return out;
}

}  // namespace

snapshot::LoadAssignment decode_load_assignment(Reader& reader,
                                                const endpoint_v3::ClusterLoadAssignment& message) {
  snapshot::LoadAssignment out;
  out.name = read_resource_name(reader, "cluster_name", message.cluster_name());
  if (message.has_policy()) {
    const In in(reader, "policy", message.policy());
    if (message.policy().has_overprovisioning_factor()) {
      out.overprovisioning_percent = read_u32(
          reader, "overprovisioning_factor", message.policy().overprovisioning_factor(), 1);
    }
  }
  int endpoints = 0;
  if (!reader.within("endpoints", message.endpoints_size(), kMaxLocalities)) return out;
  for (const auto& locality : message.endpoints())
    endpoints += locality.lb_endpoints_size();
  if (!reader.within("endpoints", endpoints, kMaxEndpoints)) return out;
  for (int i = 0; i < message.endpoints_size() && reader.ok(); ++i) {
    const In in(reader, "endpoints", i, message.endpoints(i));
    out.localities.push_back(decode_locality(reader, message.endpoints(i)));
  }
  return out;
}

std::optional<std::string> pipe_of(const endpoint_v3::ClusterLoadAssignment& message) {
  if (message.endpoints_size() != 1 || message.endpoints(0).lb_endpoints_size() != 1) return {};
  const core_v3::Address& address = message.endpoints(0).lb_endpoints(0).endpoint().address();
  if (!address.has_pipe()) return {};
  return address.pipe().path();
}

}  // namespace mooring::discovery
