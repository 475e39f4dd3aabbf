#include "proxy/upstream_state.h"

#include <algorithm>
#include <iterator>

namespace mooring::proxy {

namespace {

bool contains(const std::vector<SocketAddress>& list, const SocketAddress& address) {
  return std::find(list.begin(), list.end(), address) != list.end();
}

bool contains(const std::vector<snapshot::Endpoint>& list, const SocketAddress& address) {
  return std::any_of(list.begin(), list.end(), [&](const snapshot::Endpoint& endpoint) {
    return endpoint.address == address;
  });
}

config::LbPolicy lb_policy_of(const snapshot::Cluster& cluster) {
  return cluster.lb.policy == snapshot::LbPolicy::least_request
             ? config::LbPolicy::least_connections
             : config::LbPolicy::round_robin;
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
                           const snapshot::EndpointsPart& endpoints,
                           const std::vector<SocketAddress>& tried,
                           std::uint64_t now_ms,
                           policy::Choice& out) {
  ClusterState& known = state(cluster.name);
  std::vector<policy::EndpointView> views;
  views.reserve(endpoints.list.size());
  for (const snapshot::Endpoint& one : endpoints.list) {
    const Endpoint& endpoint = state(known, one.address);
    views.push_back({endpoint.active.value(),
                     endpoint.ejected_until_ms.value() > now_ms,
                     contains(tried, one.address)});
  }
  // A retry stays in the order that the connection began with.
  const std::uint64_t position = tried.empty() ? known.position++ : known.position;
  return policy::choose(views, lb_policy_of(cluster), position, out);
}

void UpstreamState::closed(const std::string& cluster, const SocketAddress& endpoint) {
  Endpoint& known = state(cluster, endpoint);
  if (known.active.value() > 0) known.active.sub();
}

void UpstreamState::failed(const std::string& cluster,
                           std::size_t endpoints,
                           const SocketAddress& endpoint,
                           std::uint64_t now_ms) {
  if (endpoints < 2) return;
  Endpoint& known = state(cluster, endpoint);
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

std::size_t UpstreamState::ejected(const std::string& cluster,
                                   const snapshot::EndpointsPart& endpoints,
                                   std::uint64_t now_ms) const {
  const auto known = clusters_.find(cluster);
  if (known == clusters_.end()) return 0;
  return static_cast<std::size_t>(std::count_if(
      endpoints.list.begin(), endpoints.list.end(), [&](const snapshot::Endpoint& one) {
        const auto endpoint = known->second.endpoints.find(one.address);
        return endpoint != known->second.endpoints.end() &&
               endpoint->second.ejected_until_ms.value() > now_ms;
      }));
}

void UpstreamState::prune(const snapshot::Snapshot& snapshot) {
  const std::lock_guard lock(nodes_);
  for (auto entry = clusters_.begin(); entry != clusters_.end();) {
    const snapshot::EndpointsPart* found = snapshot.find_endpoints(entry->first);
    auto& endpoints = entry->second.endpoints;
    for (auto endpoint = endpoints.begin(); endpoint != endpoints.end();) {
      const bool is_wanted = found != nullptr && contains(found->list, endpoint->first);
      endpoint = is_wanted || endpoint->second.active.value() > 0 ? std::next(endpoint)
                                                                  : endpoints.erase(endpoint);
    }
    entry = found == nullptr && endpoints.empty() ? clusters_.erase(entry) : std::next(entry);
  }
}

}  // namespace mooring::proxy
