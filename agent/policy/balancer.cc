#include "policy/balancer.h"

#include <algorithm>
#include <cmath>

namespace mooring::policy {

using snapshot::LbPolicy;

namespace {

// A connection that has tried some hosts draws this often before all hosts are looked through.
constexpr std::uint32_t kDraws = 8;

// envoy.extensions.load_balancing_policies.ring_hash.v3: no larger ring is valid.
constexpr std::uint64_t kMaxRing = 8388608;

// In place of a table size that is not valid; the source of the cluster should not let one through.
constexpr std::uint64_t kDefaultTable = 65537;

// Who wants more draws than this has all hosts looked at, which is what many draws come to.
constexpr std::uint32_t kMaxChoices = 1000;

bool contains(std::span<const SocketAddress> list, const SocketAddress& address) {
  return std::find(list.begin(), list.end(), address) != list.end();
}

}  // namespace

Balancer::Balancer(const snapshot::EndpointsPart& endpoints,
                   const snapshot::LoadBalancing& options,
                   std::uint64_t seed)
    : options_(options),
      overprovisioning_percent_(endpoints.overprovisioning_percent),
      hosts_(build_hosts(endpoints)),
      priorities_(hosts_.locality_weights.size()),
      random_(seed) {
  health_.reserve(hosts_.list.size());
  for (const Host& host : hosts_.list)
    health_.push_back(host.told);
  for (std::size_t i = 0; i < priorities_.size(); ++i) {
    Priority& priority = priorities_[i];
    priority.healthy_by_locality.resize(hosts_.locality_weights[i].size());
    priority.degraded_by_locality.resize(hosts_.locality_weights[i].size());
    for (Pool* pool : pools_of(priority))
      pool->position = seed;
  }
}

void Balancer::set_usable(std::size_t host, bool is_usable) {
  const HostHealth told = hosts_.list[host].told;
  const HostHealth now = is_usable || told == HostHealth::draining ? told : HostHealth::unhealthy;
  if (health_[host] == now) return;
  health_[host] = now;
  is_stale_ = true;
}

std::vector<Balancer::Pool*> Balancer::pools_of(Priority& priority) {
  std::vector<Pool*> pools{&priority.all, &priority.healthy, &priority.degraded};
  for (Pool& pool : priority.healthy_by_locality)
    pools.push_back(&pool);
  for (Pool& pool : priority.degraded_by_locality)
    pools.push_back(&pool);
  return pools;
}

bool Balancer::hashes() const noexcept {
  switch (options_.policy) {
    case LbPolicy::round_robin:
    case LbPolicy::least_request:
    case LbPolicy::random:
      return false;
    case LbPolicy::ring_hash:
    case LbPolicy::maglev:
      return true;
  }
  return false;
}

void Balancer::refresh() {
  is_stale_ = false;
  std::vector<PriorityHealth> healths(priorities_.size());
  for (std::size_t i = 0; i < hosts_.list.size(); ++i) {
    PriorityHealth& health = healths[hosts_.list[i].priority];
    ++health.total;
    if (health_[i] == HostHealth::healthy) ++health.healthy;
    if (health_[i] == HostHealth::degraded) ++health.degraded;
    if (health_[i] == HostHealth::draining) ++health.draining;
  }
  loads_ =
      build_priority_load(healths, overprovisioning_percent_, options_.panic_threshold_percent);
  fill_pools();
  for (std::size_t i = 0; i < priorities_.size(); ++i) {
    if (options_.locality_weighted) weigh_localities(priorities_[i], i);
    if (hashes()) build_hash(priorities_[i], i, loads_[i].is_panic);
  }
}

void Balancer::fill_pools() {
  for (Priority& priority : priorities_) {
    for (Pool* pool : pools_of(priority))
      pool->hosts.clear();
  }
  for (std::size_t i = 0; i < hosts_.list.size(); ++i) {
    const Host& host = hosts_.list[i];
    Priority& priority = priorities_[host.priority];
    const auto at = static_cast<std::uint32_t>(i);
    priority.all.hosts.push_back(at);
    if (health_[i] == HostHealth::healthy) {
      priority.healthy.hosts.push_back(at);
      priority.healthy_by_locality[host.locality].hosts.push_back(at);
    } else if (health_[i] == HostHealth::degraded) {
      priority.degraded.hosts.push_back(at);
      priority.degraded_by_locality[host.locality].hosts.push_back(at);
    }
  }
  for (Priority& priority : priorities_) {
    for (Pool* pool : pools_of(priority))
      schedule(*pool);
  }
}

// Random takes no notice of weights, and hashing has them in its ring or table.
void Balancer::schedule(Pool& pool) {
  pool.schedule.reset();
  if (options_.policy != LbPolicy::round_robin && options_.policy != LbPolicy::least_request)
    return;
  const auto differs = [&](std::uint32_t host) {
    return hosts_.list[host].weight != hosts_.list[pool.hosts.front()].weight;
  };
  if (!std::any_of(pool.hosts.begin(), pool.hosts.end(), differs)) return;
  std::vector<double> weights;
  weights.reserve(pool.hosts.size());
  for (const std::uint32_t host : pool.hosts)
    weights.push_back(hosts_.list[host].weight);
  pool.schedule.emplace(weights, random_.next());
}

// A locality counts in full until fewer of its hosts are healthy than overprovisioning makes up
// for, and then by how many are.
void Balancer::weigh_localities(Priority& priority, std::size_t position) {
  const std::vector<std::uint32_t>& given = hosts_.locality_weights[position];
  std::vector<std::size_t> counted(given.size());
  for (const std::uint32_t host : priority.all.hosts) {
    if (health_[host] != HostHealth::draining) ++counted[hosts_.list[host].locality];
  }
  const auto weigh = [&](const std::vector<Pool>& pools, std::vector<double>& weights) {
    weights.assign(given.size(), 0);
    for (std::size_t i = 0; i < given.size(); ++i) {
      if (counted[i] == 0) continue;
      const double share =
          static_cast<double>(pools[i].hosts.size()) / static_cast<double>(counted[i]);
      weights[i] = given[i] * std::min(1.0, overprovisioning_percent_ / 100.0 * share);
    }
    return WeightedSchedule(weights, random_.next());
  };
  priority.healthy_localities =
      weigh(priority.healthy_by_locality, priority.healthy_locality_weights);
  priority.degraded_localities =
      weigh(priority.degraded_by_locality, priority.degraded_locality_weights);
}

void Balancer::build_hash(Priority& priority, std::size_t position, bool is_panic) {
  priority.hashed.clear();
  const std::vector<std::uint32_t>& given = hosts_.locality_weights[position];
  const std::vector<std::uint32_t>& among = is_panic ? priority.all.hosts : priority.healthy.hosts;
  std::vector<std::uint64_t> sums(given.size());  // of the weights of its hosts
  std::uint64_t all = 0;
  for (const std::uint32_t host : among) {
    sums[hosts_.list[host].locality] += hosts_.list[host].weight;
    all += hosts_.list[host].weight;
  }
  std::uint64_t of_localities = 0;
  for (const std::uint32_t weight : given)
    of_localities += weight;
  std::vector<HashedEndpoint> endpoints;
  for (const std::uint32_t at : among) {
    const Host& host = hosts_.list[at];
    double share = host.weight / static_cast<double>(all);
    if (options_.locality_weighted) {
      if (given[host.locality] == 0) continue;
      share = host.weight * (given[host.locality] / static_cast<double>(of_localities)) /
              static_cast<double>(sums[host.locality]);
    }
    priority.hashed.push_back(at);
    endpoints.push_back({host.address.to_string(), share});
  }
  if (options_.policy == LbPolicy::maglev) {
    const std::uint64_t size = options_.maglev_table_size;
    priority.table.emplace(endpoints, MaglevTable::is_size(size) ? size : kDefaultTable);
  } else {
    priority.ring.emplace(endpoints,
                          HashRing::Options{options_.minimum_ring_size,
                                            std::min(options_.maximum_ring_size, kMaxRing),
                                            options_.murmur_hash});
  }
}

Balancer::Choice Balancer::choose(const Request& request, const ActiveOf& active) {
  if (priorities_.empty()) return {};
  if (is_stale_) refresh();
  std::uint64_t hash = random_.next();
  if (hashes()) hash = request.hash.value_or(hash);
  const std::uint32_t draws = request.tried.empty() ? 1 : kDraws;
  Choice choice;
  for (std::uint32_t attempt = 0; attempt < draws; ++attempt) {
    if (attempt > 0 && !hashes()) hash = random_.next();
    choice = choose_once(hash, attempt, active);
    if (!choice.host || !contains(request.tried, hosts_.list[*choice.host].address)) return choice;
  }
  return choose_untried(request);
}

Balancer::Choice Balancer::choose_once(std::uint64_t hash,
                                       std::uint32_t attempt,
                                       const ActiveOf& active) {
  const ChosenPriority chosen = choose_priority(loads_, hash);
  Priority& priority = priorities_[chosen.priority];
  Choice choice;
  choice.is_panic = loads_[chosen.priority].is_panic;
  if (hashes()) {
    choice.host = choose_hashed(priority, hash, attempt);
  } else if (Pool* pool = pool_of(priority, chosen, choice.is_panic); pool != nullptr) {
    choice.host = choose_from(*pool, active);
  }
  return choice;
}

std::optional<std::size_t> Balancer::choose_hashed(Priority& priority,
                                                   std::uint64_t hash,
                                                   std::uint32_t attempt) const {
  if (priority.ring && !priority.ring->is_empty())
    return priority.hashed[priority.ring->pick(hash, attempt)];
  if (priority.table && !priority.table->is_empty())
    return priority.hashed[priority.table->pick(hash, attempt)];
  return std::nullopt;
}

// Null: panic, and traffic fails then. Hashing policies do not know that option.
Balancer::Pool* Balancer::pool_of(Priority& priority, ChosenPriority chosen, bool is_panic) {
  if (is_panic) return options_.fail_traffic_on_panic ? nullptr : &priority.all;
  WeightedSchedule& localities =
      chosen.is_degraded ? priority.degraded_localities : priority.healthy_localities;
  if (options_.locality_weighted && !localities.is_empty()) {
    const std::vector<double>& weights =
        chosen.is_degraded ? priority.degraded_locality_weights : priority.healthy_locality_weights;
    const std::size_t locality = localities.pick([&](std::size_t at) { return weights[at]; });
    return chosen.is_degraded ? &priority.degraded_by_locality[locality]
                              : &priority.healthy_by_locality[locality];
  }
  return chosen.is_degraded ? &priority.degraded : &priority.healthy;
}

std::optional<std::size_t> Balancer::choose_from(Pool& pool, const ActiveOf& active) {
  if (pool.hosts.empty()) return std::nullopt;
  if (pool.schedule) {
    return pool.hosts[pool.schedule->pick(
        [&](std::size_t at) { return weight_now(pool.hosts[at], active); })];
  }
  switch (options_.policy) {
    case LbPolicy::round_robin:
      return pool.hosts[pool.position++ % pool.hosts.size()];
    case LbPolicy::least_request:
      return fewest_of_some(pool, active);
    case LbPolicy::random:
    case LbPolicy::ring_hash:
    case LbPolicy::maglev:
      return pool.hosts[random_.below(pool.hosts.size())];
  }
  return std::nullopt;
}

std::size_t Balancer::fewest_of_some(const Pool& pool, const ActiveOf& active) {
  const std::size_t size = pool.hosts.size();
  const bool takes_all = options_.choice_count > kMaxChoices;
  const std::size_t draws = takes_all ? size : options_.choice_count;
  const std::uint64_t first = random_.below(size);
  std::size_t best = pool.hosts[first];
  for (std::size_t i = 1; i < draws; ++i) {
    const std::size_t other = pool.hosts[takes_all ? (first + i) % size : random_.below(size)];
    if (active(other) < active(best)) best = other;
  }
  return best;
}

double Balancer::weight_now(std::size_t host, const ActiveOf& active) const {
  const double weight = hosts_.list[host].weight;
  if (options_.policy != LbPolicy::least_request) return weight;
  return weight / std::pow(static_cast<double>(active(host)) + 1, options_.active_request_bias);
}

Balancer::Choice Balancer::choose_untried(const Request& request) {
  const std::uint64_t start = random_.next();
  for (const HostHealth wanted : {HostHealth::healthy, HostHealth::degraded}) {
    for (std::size_t p = 0; p < priorities_.size(); ++p) {
      const bool is_panic = loads_[p].is_panic;
      if (is_panic && options_.fail_traffic_on_panic && !hashes()) continue;
      const std::vector<std::uint32_t>& hosts = priorities_[p].all.hosts;
      for (std::size_t i = 0; i < hosts.size(); ++i) {
        const std::uint32_t host = hosts[(start + i) % hosts.size()];
        if (!is_panic && health_[host] != wanted) continue;
        if (!contains(request.tried, hosts_.list[host].address)) return {host, is_panic};
      }
    }
  }
  return {};
}

}  // namespace mooring::policy
