#include "policy/hosts.h"

#include <algorithm>
#include <map>
#include <string>
#include <tuple>
#include <unordered_set>

namespace mooring::policy {

HostHealth health_of(snapshot::HealthStatus status) noexcept {
  switch (status) {
    case snapshot::HealthStatus::unknown:
    case snapshot::HealthStatus::healthy:
      return HostHealth::healthy;
    case snapshot::HealthStatus::degraded:
      return HostHealth::degraded;
    case snapshot::HealthStatus::unhealthy:
    case snapshot::HealthStatus::timeout:
      return HostHealth::unhealthy;
    case snapshot::HealthStatus::draining:
      return HostHealth::draining;
  }
  return HostHealth::unhealthy;
}

Hosts build_hosts(const snapshot::EndpointsPart& endpoints) {
  using Place = std::tuple<std::uint32_t, std::string, std::string, std::string>;
  Hosts hosts;
  std::map<Place, std::uint32_t> localities;
  std::unordered_set<SocketAddress> known;
  auto next = endpoints.list.begin();  // in the order of the groups
  for (const snapshot::LocalityEndpoints& group : endpoints.localities) {
    const std::uint32_t priority = std::min(group.priority, kMaxPriority);
    if (hosts.locality_weights.size() <= priority) hosts.locality_weights.resize(priority + 1);
    std::vector<std::uint32_t>& weights = hosts.locality_weights[priority];
    const auto [place, is_new] =
        localities.emplace(Place{priority, group.region, group.zone, group.sub_zone},
                           static_cast<std::uint32_t>(weights.size()));
    if (is_new) weights.push_back(0);
    weights[place->second] = group.weight;
    for (; next != endpoints.list.end() && next->locality == &group; ++next) {
      if (!known.insert(next->address).second) continue;
      hosts.list.push_back({next->address,
                            std::max(next->spec->weight, 1U),
                            priority,
                            place->second,
                            health_of(next->spec->health),
                            next->spec});
    }
  }
  return hosts;
}

}  // namespace mooring::policy
