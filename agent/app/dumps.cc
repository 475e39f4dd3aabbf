#include <nlohmann/json.hpp>

#include "app/reports.h"
#include "observe/record_json.h"

namespace mooring::app {

namespace {

using Json = nlohmann::ordered_json;

Json patterns_json(const std::vector<config::SpiffePattern>& patterns) {
  Json list = Json::array();
  for (const config::SpiffePattern& pattern : patterns)
    list.push_back(pattern.text + (pattern.is_prefix ? "*" : ""));
  return list;
}

const char* tls_name(snapshot::DownstreamTls tls) {
  switch (tls) {
    case snapshot::DownstreamTls::none:
      return "none";
    case snapshot::DownstreamTls::strict:
      return "strict";
    case snapshot::DownstreamTls::permissive:
      return "permissive";
  }
  return "";
}

Json listener_json(const snapshot::Listener& listener) {
  Json match = Json::array();
  for (const snapshot::DestinationMatch& entry : listener.match) {
    match.push_back({{"prefix", entry.prefix.to_string()}, {"port", entry.port}});
  }
  return {
      {"name", listener.name},
      {"direction", listener.direction == snapshot::Direction::inbound ? "inbound" : "outbound"},
      {"match", std::move(match)},
      {"bind", listener.bind ? listener.bind->to_string() : ""},
      {"tls", tls_name(listener.tls)},
      {"server_first", listener.server_first},
      {"allow", patterns_json(listener.authorization.allow)},
      {"deny", patterns_json(listener.authorization.deny)},
      {"shadow_allow", patterns_json(listener.authorization.shadow_allow)},
      {"shadow_deny", patterns_json(listener.authorization.shadow_deny)},
      {"cluster", listener.cluster},
      {"idle_timeout_ms", listener.idle_timeout.count()}};
}

Json cluster_json(const Report& report, const snapshot::Cluster& cluster) {
  Json endpoints = Json::array();
  for (const SocketAddress& address : cluster.endpoints) {
    const proxy::EndpointState state = report.endpoint(cluster.name, address);
    endpoints.push_back({{"address", address.to_string()},
                         {"state", state.is_ejected ? "ejected" : "healthy"},
                         {"connections", state.connections}});
  }
  return {
      {"name", cluster.name},
      {"type", cluster.original_dst ? "original_dst" : "static"},
      {"endpoints", std::move(endpoints)},
      {"local", cluster.local},
      {"mtls", cluster.mtls},
      {"expected_peers", patterns_json(cluster.expected_peers)},
      {"sni", cluster.sni},
      {"lb_policy",
       cluster.lb_policy == config::LbPolicy::round_robin ? "round_robin" : "least_connections"},
      {"connect_timeout_ms", cluster.connect_timeout.count()},
      {"connect_attempts", cluster.connect_attempts}};
}

Json all_clusters(const Report& report) {
  Json list = Json::array();
  for (const snapshot::ClusterPtr& cluster : report.snapshot.clusters)
    list.push_back(cluster_json(report, *cluster));
  return list;
}

Json identity_json(const Report& report) {
  if (!report.snapshot.material) return nullptr;
  const identity::Material& material = *report.snapshot.material;
  Json bundles = Json::object();
  for (const auto& [domain, bundle] : material.trusted->bundles)
    bundles[domain] = {{"anchors", bundle.anchors.size()}};
  return {{"spiffe_id", material.id()},
          {"issuer", identity::issuer(*material.presented->chain.front())},
          {"svid_file", report.config.identity ? report.config.identity->svid_file : ""},
          {"bundles", std::move(bundles)}};
}

}  // namespace

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
