#include "snapshot/from_config.h"

#include <set>

namespace mooring::snapshot {

namespace {

IpPrefix whole_family(bool v4) {
  IpPrefix prefix;
  if (!v4) prefix.base = IpAddress::v6({});
  return prefix;
}

IpPrefix single(const IpAddress& ip) {
  return {ip, static_cast<std::uint8_t>(ip.is_v4() ? 32 : 128)};
}

const std::vector<IpAddress>& addresses_of(const ResolvedNames& names, const std::string& name) {
  static const std::vector<IpAddress> kNone;
  const auto found = names.find(name);
  return found == names.end() ? kNone : found->second;
}

Listener listener_from(const config::Service& service) {
  Listener listener;
  listener.name = "inbound_" + service.name;
  listener.direction = Direction::inbound;
  listener.tls =
      service.mode == config::TlsMode::strict ? DownstreamTls::strict : DownstreamTls::permissive;
  listener.server_first = service.server_first;
  listener.authorization = {service.allow, service.deny, service.shadow_allow, service.shadow_deny};
  listener.cluster = "localhost_" + service.name;
  listener.idle_timeout = service.idle_timeout;
  listener.bind = service.listen;
  if (!service.listen) {
    listener.match = {{whole_family(true), service.port}, {whole_family(false), service.port}};
  }
  return listener;
}

Cluster cluster_from(const config::Service& service) {
  Cluster cluster;
  cluster.name = "localhost_" + service.name;
  cluster.local = true;
  cluster.original_dst = !service.target.has_value();
  if (service.target) cluster.endpoints = {*service.target};
  cluster.connect_attempts = 1;
  return cluster;
}

Listener listener_from(const config::Upstream& upstream, const ResolvedNames& names) {
  Listener listener;
  listener.name = "outbound_" + upstream.name;
  listener.direction = Direction::outbound;
  listener.cluster = upstream.name;
  listener.idle_timeout = upstream.idle_timeout;
  for (const std::uint16_t port : upstream.ports) {
    for (const config::Destination& destination : upstream.addresses) {
      if (destination.prefix) {
        listener.match.push_back({*destination.prefix, port});
        continue;
      }
      for (const IpAddress& ip : addresses_of(names, destination.host_name))
        listener.match.push_back({single(ip), port});
    }
  }
  return listener;
}

Cluster cluster_from(const config::Upstream& upstream, const ResolvedNames& names) {
  Cluster cluster;
  cluster.name = upstream.name;
  cluster.mtls = true;
  cluster.original_dst = upstream.endpoints.empty();
  cluster.expected_peers = upstream.spiffe_ids;
  cluster.sni = upstream.sni;
  cluster.lb_policy = upstream.lb_policy;
  cluster.connect_timeout = upstream.connect_timeout;
  cluster.connect_attempts = upstream.connect_attempts;
  for (const config::EndpointAddress& endpoint : upstream.endpoints) {
    if (endpoint.address) {
      cluster.endpoints.push_back(*endpoint.address);
      continue;
    }
    for (const IpAddress& ip : addresses_of(names, endpoint.host_name))
      cluster.endpoints.push_back({ip, endpoint.port});
  }
  return cluster;
}

}  // namespace

std::vector<std::string> host_names(const config::AgentConfig& config) {
  std::set<std::string> names;
  for (const config::Upstream& upstream : config.upstreams) {
    for (const auto& destination : upstream.addresses) {
      if (!destination.prefix) names.insert(destination.host_name);
    }
    for (const auto& endpoint : upstream.endpoints) {
      if (!endpoint.address) names.insert(endpoint.host_name);
    }
  }
  return {names.begin(), names.end()};
}

Resources resources_from(const config::AgentConfig& config, const ResolvedNames& names) {
  Resources resources;
  resources.other = config.capture.other;
  resources.tls = config.tls;
  for (const config::Service& service : config.services) {
    resources.listeners.push_back(listener_from(service));
    resources.clusters.push_back(cluster_from(service));
  }
  for (const config::Upstream& upstream : config.upstreams) {
    resources.listeners.push_back(listener_from(upstream, names));
    resources.clusters.push_back(cluster_from(upstream, names));
  }
  return resources;
}

}  // namespace mooring::snapshot
