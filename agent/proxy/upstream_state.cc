#include "proxy/upstream_state.h"

#include <algorithm>
#include <unordered_set>

namespace mooring::proxy {

namespace {

bool contains(const std::vector<SocketAddress>& sorted, const SocketAddress& address) {
  return std::binary_search(sorted.begin(), sorted.end(), address);
}

bool is_usable(const ClusterHealth* health, const SocketAddress& address) {
  return health == nullptr ||
         (!contains(health->ejected, address) && !contains(health->failed, address));
}

}  // namespace

UpstreamState::ClusterState& UpstreamState::state(const std::string& cluster) {
  if (const auto known = clusters_.find(cluster); known != clusters_.end()) return known->second;
  const std::lock_guard lock(nodes_);
  ClusterState& made = clusters_[cluster];
  made.round = random_.next();
  return made;
}

UpstreamState::Endpoint& UpstreamState::state(ClusterState& known, const SocketAddress& endpoint) {
  const auto found = known.endpoints.find(endpoint);
  if (found != known.endpoints.end()) return found->second;
  const std::lock_guard lock(nodes_);
  return known.endpoints[endpoint];
}

EndpointState UpstreamState::look(const std::string& cluster, const SocketAddress& endpoint) const {
  const std::lock_guard lock(nodes_);
  const auto known = clusters_.find(cluster);
  if (known == clusters_.end()) return {};
  const auto found = known->second.endpoints.find(endpoint);
  if (found == known->second.endpoints.end()) return {};
  return {found->second.active.value(), found->second.succeeded.value()};
}

const ClusterHealth* UpstreamState::health(const std::string& cluster) const {
  const auto known = health_.find(cluster);
  return known == health_.end() ? nullptr : known->second.get();
}

void UpstreamState::use(const UseHealth& message) {
  if (message.health) {
    health_[message.cluster] = message.health;
  } else {
    health_.erase(message.cluster);
  }
  const auto known = clusters_.find(message.cluster);
  if (known != clusters_.end() && known->second.balancer)
    apply_health(message.cluster, *known->second.balancer);
}

void UpstreamState::apply_health(const std::string& cluster, policy::Balancer& balancer) const {
  const ClusterHealth* known = health(cluster);
  for (std::size_t i = 0; i < balancer.hosts().size(); ++i)
    balancer.set_usable(i, is_usable(known, balancer.hosts()[i].address));
}

void UpstreamState::make_balancer(const snapshot::Snapshot& snapshot,
                                  std::size_t cluster,
                                  ClusterState& known) {
  const snapshot::ClusterPart& part = *snapshot.clusters[cluster];
  known.balancer =
      std::make_unique<policy::Balancer>(*snapshot.endpoints[cluster], part.lb, known.round);
  known.of_host.clear();
  for (const policy::Host& host : known.balancer->hosts())
    known.of_host.push_back(&state(known, host.address));
  apply_health(part.name, *known.balancer);
}

UpstreamState::Choice UpstreamState::choose(const snapshot::Snapshot& snapshot,
                                            std::size_t cluster,
                                            const std::vector<SocketAddress>& tried) {
  ClusterState& known = state(snapshot.clusters[cluster]->name);
  if (!known.balancer) make_balancer(snapshot, cluster, known);
  ++known.round;
  policy::Balancer::Request request;
  request.tried = tried;
  const policy::Balancer::Choice chosen = known.balancer->choose(
      request, [&known](std::size_t host) { return known.of_host[host]->active.value(); });
  Choice choice;
  choice.is_panic = chosen.is_panic;
  if (chosen.host) choice.host = &known.balancer->hosts()[*chosen.host];
  return choice;
}

void UpstreamState::closed(const std::string& cluster, const SocketAddress& endpoint) {
  Endpoint& known = state(cluster, endpoint);
  if (known.active.value() > 0) known.active.sub();
}

UpstreamState::Membership UpstreamState::membership(const snapshot::Snapshot& snapshot,
                                                    std::size_t cluster) const {
  const ClusterHealth* known = health(snapshot.clusters[cluster]->name);
  Membership members;
  for (const snapshot::Endpoint& endpoint : snapshot.endpoints[cluster]->list) {
    ++members.total;
    const bool is_told_healthy =
        policy::health_of(endpoint.spec->health) == policy::HostHealth::healthy;
    if (is_told_healthy && is_usable(known, endpoint.address)) ++members.healthy;
  }
  return members;
}

void UpstreamState::forget_unused(ClusterState& known, const snapshot::EndpointsPart* endpoints) {
  std::unordered_set<SocketAddress> wanted;
  if (endpoints != nullptr) {
    for (const snapshot::Endpoint& endpoint : endpoints->list)
      wanted.insert(endpoint.address);
  }
  std::erase_if(known.endpoints, [&](const auto& entry) {
    return entry.second.active.value() == 0 && !wanted.contains(entry.first);
  });
}

void UpstreamState::use(const snapshot::Snapshot& now,
                        const snapshot::Snapshot* before,
                        const std::vector<std::size_t>& changed) {
  const std::lock_guard lock(nodes_);
  const auto reset = [](ClusterState& known, const snapshot::EndpointsPart* endpoints) {
    known.balancer.reset();
    known.of_host.clear();
    forget_unused(known, endpoints);
  };
  for (const std::size_t at : changed) {
    const auto known = clusters_.find(now.clusters[at]->name);
    if (known != clusters_.end()) reset(known->second, now.endpoints[at].get());
  }
  if (before != nullptr && before->cluster_index == now.cluster_index) return;
  for (auto& [name, known] : clusters_) {
    if (now.find_cluster(name) == snapshot::kNoMatch) reset(known, nullptr);
  }
  std::erase_if(clusters_, [&](const auto& entry) {
    return entry.second.endpoints.empty() && now.find_cluster(entry.first) == snapshot::kNoMatch;
  });
}

}  // namespace mooring::proxy
