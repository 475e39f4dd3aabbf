#include "snapshot/from_config.h"

#include <limits>
#include <set>

namespace mooring::snapshot {

namespace {

constexpr const char* kMeshAlpn = "kuma";

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

StringMatcher matcher_of(const config::SpiffePattern& pattern) {
  StringMatcher matcher;
  matcher.kind = pattern.is_prefix ? StringMatcher::Kind::prefix : StringMatcher::Kind::exact;
  matcher.text = pattern.text;
  return matcher;
}

void append_rules(RuleList& list, const std::vector<config::SpiffePattern>& patterns, bool allow) {
  for (const config::SpiffePattern& pattern : patterns) {
    Rule rule;
    rule.name =
        (allow ? "allow " : "deny ") + pattern.text + std::string(pattern.is_prefix ? "*" : "");
    rule.allow = allow;
    rule.condition.kind = Condition::Kind::peer_name;
    rule.condition.text = matcher_of(pattern);
    list.rules.push_back(std::move(rule));
  }
}

// Deny first, then allow, else denied. Where no shadow_allow list is given, the shadow has no
// opinion on whom no shadow_deny rule matches.
Authorization authorization_from(const config::Service& service) {
  Authorization authorization;
  authorization.rules.emplace();
  append_rules(*authorization.rules, service.deny, false);
  append_rules(*authorization.rules, service.allow, true);
  if (service.shadow_allow.empty() && service.shadow_deny.empty()) return authorization;
  RuleList& shadow = authorization.shadow.emplace();
  append_rules(shadow, service.shadow_deny, false);
  append_rules(shadow, service.shadow_allow, true);
  shadow.allow_otherwise = service.shadow_allow.empty();
  if (!shadow.allow_otherwise) shadow.otherwise = "deny (no shadow_allow rule matches)";
  return authorization;
}

TlsParameters parameters_from(const config::Tls& tls) {
  TlsParameters parameters;
  parameters.min_version = tls.min_version;
  parameters.ciphers = tls.ciphers;
  parameters.groups = tls.groups;
  parameters.resumption = tls.resumption;
  return parameters;
}

TlsContext context_from(const config::Tls& tls) {
  TlsContext context;
  context.certificate = kIdentitySecret;
  context.validation = kTrustSecret;
  context.parameters = parameters_from(tls);
  return context;
}

FilterChain chain_to(const std::string& cluster, Milliseconds idle_timeout) {
  FilterChain chain;
  chain.clusters = {{cluster, 1}};
  chain.idle_timeout = idle_timeout;
  return chain;
}

FilterChain with_protocol(FilterChain chain, const char* transport) {
  chain.match.transport_protocol = transport;
  return chain;
}

// In the form that Kuma gives a port that takes plain text, TLS of its application, and the mesh's.
std::vector<FilterChain> chains_from(const config::Service& service, const config::Tls& tls) {
  const FilterChain plain = chain_to("localhost_" + service.name, service.idle_timeout);
  FilterChain secured = plain;
  secured.tls = context_from(tls);
  secured.authorization = {authorization_from(service)};
  if (service.mode == config::TlsMode::strict) return {secured};
  secured.match.application_protocols = {kMeshAlpn};
  return {with_protocol(plain, "raw_buffer"),
          with_protocol(plain, "tls"),
          with_protocol(std::move(secured), "tls")};
}

Listener listener_from(const config::Service& service, const config::Tls& tls) {
  Listener listener;
  listener.name = "inbound_" + service.name;
  listener.direction = Direction::inbound;
  listener.tls_inspector = service.mode == config::TlsMode::permissive;
  listener.server_first = service.server_first;
  listener.chains = chains_from(service, tls);
  listener.bind = service.listen;
  if (!service.listen) {
    listener.match = {{whole_family(true), service.port}, {whole_family(false), service.port}};
  }
  return listener;
}

LoadAssignment assignment_of(const std::vector<SocketAddress>& addresses) {
  LoadAssignment assignment;
  LocalityEndpoints locality;
  for (const SocketAddress& address : addresses) {
    LbEndpoint endpoint;
    endpoint.address = address;
    locality.endpoints.push_back(std::move(endpoint));
  }
  if (!addresses.empty()) assignment.localities.push_back(std::move(locality));
  return assignment;
}

// agent.toml bounds the connections of the whole agent only.
CircuitBreakers no_limit() {
  return {.max_connections = std::numeric_limits<std::uint32_t>::max()};
}

// One failure ejects for two seconds, each further one for two more, up to a minute.
OutlierDetection passive_ejection() {
  OutlierDetection detection;
  detection.interval = Milliseconds(500);
  detection.base_ejection_time = Milliseconds(2000);
  detection.max_ejection_time = Milliseconds(60000);
  detection.max_ejection_percent = 100;
  detection.consecutive_5xx = 1;
  detection.enforcing_success_rate = 0;
  return detection;
}

Cluster cluster_from(const config::Service& service) {
  Cluster cluster;
  cluster.name = "localhost_" + service.name;
  cluster.local = true;
  cluster.type = service.target ? Cluster::Type::static_list : Cluster::Type::original_dst;
  if (service.target) cluster.endpoints = assignment_of({*service.target});
  cluster.circuit_breakers = no_limit();
  return cluster;
}

Listener listener_from(const config::Upstream& upstream, const ResolvedNames& names) {
  Listener listener;
  listener.name = "outbound_" + upstream.name;
  listener.direction = Direction::outbound;
  listener.chains = {chain_to(upstream.name, upstream.idle_timeout)};
  listener.chains.front().max_connect_attempts = upstream.connect_attempts;
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

std::vector<SocketAddress> endpoints_of(const config::Upstream& upstream,
                                        const ResolvedNames& names) {
  std::vector<SocketAddress> addresses;
  for (const config::EndpointAddress& endpoint : upstream.endpoints) {
    if (endpoint.address) {
      addresses.push_back(*endpoint.address);
      continue;
    }
    for (const IpAddress& ip : addresses_of(names, endpoint.host_name))
      addresses.push_back({ip, endpoint.port});
  }
  return addresses;
}

Cluster cluster_from(const config::Upstream& upstream,
                     const config::Tls& tls,
                     const ResolvedNames& names) {
  Cluster cluster;
  cluster.name = upstream.name;
  cluster.type =
      upstream.endpoints.empty() ? Cluster::Type::original_dst : Cluster::Type::static_list;
  cluster.endpoints = assignment_of(endpoints_of(upstream, names));
  cluster.tls = context_from(tls);
  cluster.tls->alpn = {kMeshAlpn};
  cluster.tls->sni = upstream.sni;
  for (const config::SpiffePattern& pattern : upstream.spiffe_ids)
    cluster.tls->peer_names.push_back({SubjectAltNameMatcher::Type::uri, matcher_of(pattern)});
  cluster.lb.policy = upstream.lb_policy == config::LbPolicy::round_robin ? LbPolicy::round_robin
                                                                          : LbPolicy::least_request;
  cluster.lb.choice_count = std::numeric_limits<std::uint32_t>::max();  // of all, the fewest
  cluster.lb.panic_threshold_percent = 1;  // ejected ones are used when nothing else is left
  cluster.outlier_detection = passive_ejection();
  cluster.circuit_breakers = no_limit();
  cluster.connect_timeout = upstream.connect_timeout;
  return cluster;
}

void add_other_traffic(Resources& resources) {
  Listener listener;
  listener.name = "outbound_other";
  listener.direction = Direction::outbound;
  listener.match = {{whole_family(true), 0}, {whole_family(false), 0}};
  listener.chains = {chain_to("passthrough", Milliseconds{0})};
  resources.listeners.push_back(std::move(listener));
  Cluster cluster;
  cluster.name = "passthrough";
  cluster.type = Cluster::Type::original_dst;
  cluster.circuit_breakers = no_limit();
  resources.clusters.push_back(std::move(cluster));
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
  if (config.capture.other == config::OtherTraffic::pass) add_other_traffic(resources);
  for (const config::Service& service : config.services) {
    resources.listeners.push_back(listener_from(service, config.tls));
    resources.clusters.push_back(cluster_from(service));
  }
  for (const config::Upstream& upstream : config.upstreams) {
    resources.listeners.push_back(listener_from(upstream, names));
    resources.clusters.push_back(cluster_from(upstream, config.tls, names));
  }
  return resources;
}

std::vector<Secret> secrets_from(identity::MaterialText text) {
  return {{kIdentitySecret, TlsCertificate{std::move(text.svid_pem), std::move(text.key_pem)}, {}},
          {kTrustSecret, SpiffeBundles{std::move(text.bundle_pems)}, {}}};
}

}  // namespace mooring::snapshot
