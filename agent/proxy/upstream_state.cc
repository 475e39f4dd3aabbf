#include "proxy/upstream_state.h"

#include <algorithm>
#include <iterator>

namespace mooring::proxy {

namespace {

bool contains(const std::vector<SocketAddress>& list, const SocketAddress& address) {
  return std::find(list.begin(), list.end(), address) != list.end();
}

}  // namespace

UpstreamState::ClusterState& UpstreamState::state(const std::string& cluster) {
  if (const auto known = clusters_.find(cluster); known != clusters_.end()) return known->second;
  const std::lock_guard lock(nodes_);
  return clusters_[cluster];
}

UpstreamState::Endpoint& UpstreamState::state(ClusterState& known, const SocketAddress& endpoint) {
  const auto found = known.endpoints.find(endpoint);
  if (found != known.endpoints.end()) return found->second;
  const std::lock_guard lock(nodes_);
  return known.endpoints[endpoint];
}

EndpointState UpstreamState::look(const std::string& cluster,
                                  const SocketAddress& endpoint,
                                  std::uint64_t now_ms) const {
  const std::lock_guard lock(nodes_);
  const auto known = clusters_.find(cluster);
  if (known == clusters_.end()) return {};
  const auto found = known->second.endpoints.find(endpoint);
  if (found == known->second.endpoints.end()) return {};
  return {found->second.active.value(), found->second.ejected_until_ms.value() > now_ms};
}

bool UpstreamState::choose(const snapshot::Cluster& cluster,
                           const std::vector<SocketAddress>& tried,
                           std::uint64_t now_ms,
                           policy::Choice& out) {
  ClusterState& known = state(cluster.name);
  std::vector<policy::EndpointView> views;
  views.reserve(cluster.endpoints.size());
  for (const SocketAddress& address : cluster.endpoints) {
    const Endpoint& endpoint = state(known, address);
    views.push_back({endpoint.active.value(),
                     endpoint.ejected_until_ms.value() > now_ms,
                     contains(tried, address)});
  }
  // A retry stays in the order that the connection began with.
  const std::uint64_t position = tried.empty() ? known.position++ : known.position;
  return policy::choose(views, cluster.lb_policy, position, out);
}

void UpstreamState::closed(const std::string& cluster, const SocketAddress& endpoint) {
  Endpoint& known = state(cluster, endpoint);
  if (known.active.value() > 0) known.active.sub();
}

void UpstreamState::failed(const snapshot::Cluster& cluster,
                           const SocketAddress& endpoint,
                           std::uint64_t now_ms) {
  if (cluster.endpoints.size() < 2) return;
  Endpoint& known = state(cluster.name, endpoint);
  const std::uint64_t span =
      std::min(kFirstEjectionMs << std::min(known.failures_in_a_row, 5U), kLongestEjectionMs);
  ++known.failures_in_a_row;
  known.ejected_until_ms.set(now_ms + span);
}

bool UpstreamState::succeeded(const std::string& cluster, const SocketAddress& endpoint) {
  Endpoint& known = state(cluster, endpoint);
  if (known.failures_in_a_row == 0) return false;
  known.failures_in_a_row = 0;
  known.ejected_until_ms.set(0);
  return true;
}

std::size_t UpstreamState::ejected(const snapshot::Cluster& cluster, std::uint64_t now_ms) const {
  const auto known = clusters_.find(cluster.name);
  if (known == clusters_.end()) return 0;
  return static_cast<std::size_t>(std::count_if(
      cluster.endpoints.begin(), cluster.endpoints.end(), [&](const SocketAddress& address) {
        const auto endpoint = known->second.endpoints.find(address);
        return endpoint != known->second.endpoints.end() &&
               endpoint->second.ejected_until_ms.value() > now_ms;
      }));
}

void UpstreamState::prune(const snapshot::Snapshot& snapshot) {
  std::map<std::string, const snapshot::Cluster*> named;
  for (const auto& cluster : snapshot.clusters)
    named.emplace(cluster->name, cluster.get());
  const std::lock_guard lock(nodes_);
  for (auto entry = clusters_.begin(); entry != clusters_.end();) {
    const auto found = named.find(entry->first);
    auto& endpoints = entry->second.endpoints;
    for (auto endpoint = endpoints.begin(); endpoint != endpoints.end();) {
      const bool is_wanted =
          found != named.end() && contains(found->second->endpoints, endpoint->first);
      endpoint = is_wanted || endpoint->second.active.value() > 0 ? std::next(endpoint)
                                                                  : endpoints.erase(endpoint);
    }
    entry = found == named.end() && endpoints.empty() ? clusters_.erase(entry) : std::next(entry);
  }
}

}  // namespace mooring::proxy
