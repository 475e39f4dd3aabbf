// Services and upstreams of a host whose control plane names them: from what is served.
#include <algorithm>
#include <set>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "app/reports.h"
#include "app/status_counts.h"
#include "core/escape.h"

namespace mooring::app {

namespace {

using Json = nlohmann::ordered_json;
using snapshot::FilterChain;
using snapshot::ListenerPart;

// A control plane may name ten thousand; what a screen shows is for people.
constexpr std::size_t kMaxShown = 1000;
constexpr std::size_t kMaxEndpoints = 100;  // of one upstream

/// A listener for one service, and not for whatever matches nothing else.
bool is_for_a_service(const ListenerPart& listener) {
  return listener.bind.has_value() ||
         std::any_of(listener.match.begin(), listener.match.end(), [](const auto& match) {
           return match.port != 0;
         });
}

std::uint16_t port_of(const ListenerPart& listener) {
  return listener.bind ? listener.bind->port : listener.match.front().port;
}

template <class Claim>
bool all_chains(const ListenerPart& listener, Claim claim) {
  return std::all_of(listener.chains.begin(), listener.chains.end(), claim);
}

bool is_not_served(const ListenerPart& listener) {
  return all_chains(listener, [](const FilterChain& chain) { return !chain.not_served.empty(); });
}

const char* mode_of(const ListenerPart& listener) {
  if (all_chains(listener, [](const FilterChain& chain) { return chain.tls.has_value(); }))
    return "strict";
  const bool is_plain =
      all_chains(listener, [](const FilterChain& chain) { return !chain.tls.has_value(); });
  return is_plain ? "plain" : "permissive";
}

std::set<std::string> clusters_of(const ListenerPart& listener) {
  std::set<std::string> names;
  for (const FilterChain& chain : listener.chains) {
    for (const auto& cluster : chain.clusters)
      names.insert(cluster.name);
  }
  return names;
}

const char* state_of(const Report& report, const ListenerPart& listener) {
  if (is_not_served(listener)) return "not_served";
  const std::string mode = mode_of(listener);
  if (mode != "plain" && report.snapshot.own_identity() == nullptr) return "no_identity";
  if (!listener.bind && report.capture.state != "active") return "not_captured";
  const std::set<std::string> clusters = clusters_of(listener);
  const bool is_refused =
      std::any_of(clusters.begin(), clusters.end(), [&](const std::string& cluster) {
        return last_connect_failed(report.stats, cluster);
      });
  return is_refused ? "failed" : "ready";
}

std::string target_of(const Report& report, const ListenerPart& listener) {
  for (const std::string& cluster : clusters_of(listener)) {
    const snapshot::EndpointsPart* endpoints = report.snapshot.find_endpoints(cluster);
    if (endpoints != nullptr && !endpoints->list.empty())
      return endpoints->list.front().address.to_string();
  }
  return "host";
}

Json service_json(const Report& report, const ListenerPart& listener) {
  const ServiceCounts counts = count_listener(report.stats, listener.name);
  return {{"name", escape_peer_text(listener.name)},
          {"port", port_of(listener)},
          {"mode", mode_of(listener)},
          {"target", target_of(report, listener)},
          {"listen", listener.bind ? listener.bind->to_string() : ""},
          {"state", state_of(report, listener)},
          {"connections", counts.connections},
          {"accepted", counts.accepted},
          {"denied", counts.denied},
          {"shadow_denied", counts.shadow_denied},
          {"failed", counts.failed}};
}

Json upstream_json(const Report& report, const ListenerPart& listener) {
  UpstreamCounts sum;
  Json endpoints = Json::array();
  for (const std::string& cluster : clusters_of(listener)) {
    const UpstreamCounts counts = count_cluster(report.stats, cluster);
    sum.connections += counts.connections;
    sum.opened += counts.opened;
    sum.failures += counts.failures;
    const snapshot::EndpointsPart* part = report.snapshot.find_endpoints(cluster);
    if (part == nullptr) continue;
    for (const snapshot::Endpoint& endpoint : part->list) {
      if (endpoints.size() == kMaxEndpoints) break;
      const EndpointReport state = report.endpoint(cluster, endpoint.address);
      endpoints.push_back({{"address", endpoint.address.to_string()},
                           {"state", endpoint_state(state, endpoint.spec->health)},
                           {"connections", state.connections}});
    }
  }
  Json addresses = Json::array();
  if (listener.bind) addresses.push_back(listener.bind->ip.to_string());
  for (const snapshot::DestinationMatch& match : listener.match)
    addresses.push_back(match.prefix.to_string());
  return {{"name", escape_peer_text(listener.name)},
          {"addresses", std::move(addresses)},
          {"ports", Json::array({port_of(listener)})},
          {"state", is_not_served(listener) ? "not_served" : "served"},
          {"endpoints", std::move(endpoints)},
          {"connections", sum.connections},
          {"opened", sum.opened},
          {"failures", sum.failures}};
}

}  // namespace

Json mesh_services_json(const Report& report, snapshot::Direction direction) {
  Json list = Json::array();
  for (const snapshot::ListenerPtr& listener : report.snapshot.listeners) {
    if (listener->direction != direction || !is_for_a_service(*listener)) continue;
    if (list.size() == kMaxShown) break;
    list.push_back(direction == snapshot::Direction::inbound ? service_json(report, *listener)
                                                             : upstream_json(report, *listener));
  }
  return list;
}

}  // namespace mooring::app
