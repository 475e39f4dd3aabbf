// What a control plane asks a proxy for, in the forms of Envoy's admin interface.
#include <fmt/format.h>

#include <iterator>
#include <nlohmann/json.hpp>

#include "app/reports.h"
#include "observe/record_json.h"

namespace mooring::app {

namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kAdmin = "type.googleapis.com/envoy.admin.v3.";
constexpr const char* kConfig = "type.googleapis.com/envoy.config.";

Json address_json(const SocketAddress& address) {
  return {{"socket_address", {{"address", address.ip.to_string()}, {"port_value", address.port}}}};
}

Json listener_json(const snapshot::Listener& listener) {
  Json json{{"@type", std::string(kConfig) + "listener.v3.Listener"}, {"name", listener.name}};
  if (listener.bind) {
    json["address"] = address_json(*listener.bind);
  } else if (!listener.match.empty()) {
    const snapshot::DestinationMatch& first = listener.match.front();
    json["address"] = address_json({first.prefix.base, first.port});
  }
  return {{"name", listener.name}, {"active_state", {{"listener", std::move(json)}}}};
}

const char* eds_status(snapshot::HealthStatus status) {
  using snapshot::HealthStatus;
  switch (status) {
    case HealthStatus::unknown:
    case HealthStatus::healthy:
      return "HEALTHY";
    case HealthStatus::unhealthy:
      return "UNHEALTHY";
    case HealthStatus::draining:
      return "DRAINING";
    case HealthStatus::timeout:
      return "TIMEOUT";
    case HealthStatus::degraded:
      return "DEGRADED";
  }
  return "UNKNOWN";
}

Json host_json(const Report& report,
               const std::string& cluster,
               const snapshot::Endpoint& endpoint) {
  const EndpointReport state = report.endpoint(cluster, endpoint.address);
  Json health{{"eds_health_status", eds_status(endpoint.spec->health)}};
  if (state.is_ejected) health["failed_outlier_check"] = true;
  if (state.fails_check) health["failed_active_health_check"] = true;
  return {
      {"address", address_json(endpoint.address)},
      {"stats",
       {{{"name", "cx_active"}, {"type", "GAUGE"}, {"value", std::to_string(state.connections)}}}},
      {"health_status", std::move(health)}};
}

// As Envoy names them in health_flags.
std::string health_flags(const EndpointReport& state, snapshot::HealthStatus told) {
  using snapshot::HealthStatus;
  std::string flags;
  if (state.fails_check) flags += "/failed_active_hc";
  if (state.is_ejected) flags += "/failed_outlier_check";
  if (told == HealthStatus::degraded) flags += "/degraded_eds_health";
  if (told == HealthStatus::draining) flags += "/eds_status_draining";
  if (told == HealthStatus::unhealthy || told == HealthStatus::timeout)
    flags += "/failed_eds_health";
  return flags.empty() ? "healthy" : flags;
}

}  // namespace

std::string envoy_config_dump_json(const Report& report) {
  Json clusters = Json::array();
  for (const snapshot::ClusterPtr& cluster : report.snapshot.clusters) {
    clusters.push_back(
        {{"cluster",
          {{"@type", std::string(kConfig) + "cluster.v3.Cluster"}, {"name", cluster->name}}}});
  }
  Json listeners = Json::array();
  for (const snapshot::ListenerPtr& listener : report.snapshot.listeners)
    listeners.push_back(listener_json(*listener));
  Json configs = Json::array();
  configs.push_back({{"@type", std::string(kAdmin) + "ClustersConfigDump"},
                     {"dynamic_active_clusters", std::move(clusters)}});
  configs.push_back({{"@type", std::string(kAdmin) + "ListenersConfigDump"},
                     {"dynamic_listeners", std::move(listeners)}});
  // All that Envoy's messages have no place for.
  configs.push_back({{"@type", "type.googleapis.com/google.protobuf.Struct"},
                     {"value", {{"mooring", Json::parse(config_dump_json(report))}}}});
  return observe::dump({{"configs", std::move(configs)}});
}

std::string envoy_clusters_json(const Report& report) {
  Json list = Json::array();
  for (std::size_t i = 0; i < report.snapshot.clusters.size(); ++i) {
    const std::string& name = report.snapshot.clusters[i]->name;
    Json hosts = Json::array();
    for (const snapshot::Endpoint& endpoint : report.snapshot.endpoints[i]->list)
      hosts.push_back(host_json(report, name, endpoint));
    list.push_back({{"name", name}, {"added_via_api", true}, {"host_statuses", std::move(hosts)}});
  }
  return observe::dump({{"cluster_statuses", std::move(list)}});
}

std::string envoy_clusters_text(const Report& report) {
  std::string text;
  for (std::size_t i = 0; i < report.snapshot.clusters.size(); ++i) {
    const std::string& name = report.snapshot.clusters[i]->name;
    fmt::format_to(std::back_inserter(text), "{}::added_via_api::true\n", name);
    for (const snapshot::Endpoint& endpoint : report.snapshot.endpoints[i]->list) {
      const EndpointReport state = report.endpoint(name, endpoint.address);
      const auto put = [&](std::string_view what, const auto& value) {
        fmt::format_to(std::back_inserter(text),
                       "{}::{}::{}::{}\n",
                       name,
                       endpoint.address.to_string(),
                       what,
                       value);
      };
      put("cx_active", state.connections);
      put("health_flags", health_flags(state, endpoint.spec->health));
      put("weight", endpoint.spec->weight);
      put("region", endpoint.locality->region);
      put("zone", endpoint.locality->zone);
      put("sub_zone", endpoint.locality->sub_zone);
      put("priority", endpoint.locality->priority);
    }
  }
  return text;
}

}  // namespace mooring::app
