#include <nlohmann/json.hpp>

#include "app/reports.h"
#include "observe/record_json.h"

namespace mooring::app {

namespace {

using Json = nlohmann::ordered_json;

const char* kind_name(identity::NameMatcher::Kind kind) {
  using Kind = identity::NameMatcher::Kind;
  switch (kind) {
    case Kind::exact:
      return "exact";
    case Kind::prefix:
      return "prefix";
    case Kind::suffix:
      return "suffix";
    case Kind::contains:
      return "contains";
    case Kind::regex:
      return "safe_regex";
  }
  return "";
}

Json names_json(const std::vector<identity::NameMatcher>& names) {
  Json list = Json::array();
  for (const identity::NameMatcher& name : names)
    list.push_back({{kind_name(name.kind), name.text}});
  return list;
}

Json tls_json(const snapshot::Transport& transport) {
  if (transport.tls == nullptr) return nullptr;
  return {{"certificate", transport.tls->certificate},
          {"validation", transport.tls->validation},
          {"has_secrets", transport.part != nullptr},
          {"peer_names", names_json(transport.peer_names)},
          {"alpn", transport.tls->alpn},
          {"sni", transport.tls->sni}};
}

Json prefixes_json(const std::vector<IpPrefix>& prefixes) {
  Json list = Json::array();
  for (const IpPrefix& prefix : prefixes)
    list.push_back(prefix.to_string());
  return list;
}

Json rules_json(const std::optional<snapshot::RuleList>& list) {
  if (!list) return nullptr;
  Json rules = Json::array();
  for (const snapshot::Rule& rule : list->rules)
    rules.push_back({{"name", rule.name}, {"action", rule.allow ? "allow" : "deny"}});
  return {{"rules", std::move(rules)}, {"otherwise", list->allow_otherwise ? "allow" : "deny"}};
}

Json chain_json(const snapshot::ChainPart& chain) {
  const snapshot::FilterChain& spec = *chain.spec;
  Json authorization = Json::array();
  for (const snapshot::Authorization& filter : spec.authorization) {
    authorization.push_back(
        {{"rules", rules_json(filter.rules)}, {"shadow", rules_json(filter.shadow)}});
  }
  Json clusters = Json::array();
  for (const snapshot::WeightedCluster& cluster : spec.clusters)
    clusters.push_back({{"name", cluster.name}, {"weight", cluster.weight}});
  return {{"name", spec.name},
          {"match",
           {{"destination_port", spec.match.destination_port},
            {"prefix_ranges", prefixes_json(spec.match.prefix_ranges)},
            {"server_names", spec.match.server_names},
            {"transport_protocol", spec.match.transport_protocol},
            {"application_protocols", spec.match.application_protocols}}},
          {"tls", tls_json(chain.transport)},
          {"authorization", std::move(authorization)},
          {"clusters", std::move(clusters)},
          {"idle_timeout_ms", spec.idle_timeout.count()},
          {"max_connect_attempts", spec.max_connect_attempts},
          {"not_served", spec.not_served}};
}

Json listener_json(const snapshot::ListenerPart& listener) {
  Json match = Json::array();
  for (const snapshot::DestinationMatch& entry : listener.match) {
    match.push_back({{"prefix", entry.prefix.to_string()}, {"port", entry.port}});
  }
  Json chains = Json::array();
  for (const snapshot::ChainPart& chain : listener.parts)
    chains.push_back(chain_json(chain));
  return {
      {"name", listener.name},
      {"direction", listener.direction == snapshot::Direction::inbound ? "inbound" : "outbound"},
      {"match", std::move(match)},
      {"bind", listener.bind ? listener.bind->to_string() : ""},
      {"tls_inspector", listener.tls_inspector},
      {"http_inspector", listener.http_inspector},
      {"server_first", listener.server_first},
      {"filter_chains", std::move(chains)}};
}

const char* type_name(snapshot::Cluster::Type type) {
  using Type = snapshot::Cluster::Type;
  switch (type) {
    case Type::static_list:
      return "static";
    case Type::eds:
      return "eds";
    case Type::strict_dns:
      return "strict_dns";
    case Type::original_dst:
      return "original_dst";
  }
  return "";
}

const char* policy_name(snapshot::LbPolicy policy) {
  switch (policy) {
    case snapshot::LbPolicy::round_robin:
      return "round_robin";
    case snapshot::LbPolicy::least_request:
      return "least_request";
    case snapshot::LbPolicy::random:
      return "random";
    case snapshot::LbPolicy::ring_hash:
      return "ring_hash";
    case snapshot::LbPolicy::maglev:
      return "maglev";
  }
  return "";
}

Json cluster_json(const Report& report,
                  const snapshot::ClusterPart& cluster,
                  const snapshot::EndpointsPart& known) {
  Json endpoints = Json::array();
  for (const snapshot::Endpoint& endpoint : known.list) {
    const EndpointReport state = report.endpoint(cluster.name, endpoint.address);
    endpoints.push_back({{"address", endpoint.address.to_string()},
                         {"state", endpoint_state(state, endpoint.spec->health)},
                         {"connections", state.connections}});
  }
  return {{"name", cluster.name},
          {"type", type_name(cluster.type)},
          {"endpoints", std::move(endpoints)},
          {"local", cluster.local},
          {"tls", tls_json(cluster.transport)},
          {"lb_policy", policy_name(cluster.lb.policy)},
          {"connect_timeout_ms", cluster.connect_timeout.count()}};
}

Json all_clusters(const Report& report) {
  Json list = Json::array();
  const snapshot::Snapshot& snapshot = report.snapshot;
  for (std::size_t i = 0; i < snapshot.clusters.size(); ++i)
    list.push_back(cluster_json(report, *snapshot.clusters[i], *snapshot.endpoints[i]));
  return list;
}

Json identity_json(const Report& report) {
  const identity::Presented* own = report.snapshot.own_identity();
  if (own == nullptr) return nullptr;
  Json bundles = Json::object();
  for (const snapshot::SecretPtr& secret : report.snapshot.secrets) {
    if (!secret->trusted) continue;
    for (const auto& [domain, bundle] : secret->trusted->bundles)
      bundles[domain] = {{"anchors", bundle.anchors.size()}};
  }
  return {{"spiffe_id", own->spiffe_id},
          {"issuer", identity::issuer(*own->chain.front())},
          {"svid_file", report.config.identity ? report.config.identity->svid_file : ""},
          {"bundles", std::move(bundles)}};
}

}  // namespace

const char* endpoint_state(const EndpointReport& endpoint, snapshot::HealthStatus told) noexcept {
  switch (told) {
    case snapshot::HealthStatus::unhealthy:
    case snapshot::HealthStatus::timeout:
      return "unhealthy";
    case snapshot::HealthStatus::draining:
      return "draining";
    case snapshot::HealthStatus::unknown:
    case snapshot::HealthStatus::healthy:
    case snapshot::HealthStatus::degraded:
      break;
  }
  if (endpoint.is_ejected) return "ejected";
  if (endpoint.fails_check) return "unhealthy";
  return told == snapshot::HealthStatus::degraded ? "degraded" : "healthy";
}

std::string config_dump_json(const Report& report) {
  Json listeners = Json::array();
  for (const snapshot::ListenerPtr& listener : report.snapshot.listeners)
    listeners.push_back(listener_json(*listener));
  return observe::dump(
      {{"snapshot", report.snapshot.generation},
       {"config",
        {{"path", report.config_state.path}, {"generation", report.config_state.generation}}},
       {"identity", identity_json(report)},
       {"listeners", std::move(listeners)},
       {"clusters", all_clusters(report)}});
}

std::string clusters_json(const Report& report) {
  return observe::dump({{"clusters", all_clusters(report)}});
}

}  // namespace mooring::app
