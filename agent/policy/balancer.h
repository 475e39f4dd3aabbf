// Chooses the endpoint of a cluster for a connection, as Envoy does: priority by health, locality
// by weight, endpoint by the cluster's policy. One per cluster and worker, which alone uses it;
// made anew when the cluster's endpoints or policy change, while health changes in place.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "core/address.h"
#include "policy/consistent_hash.h"
#include "policy/hosts.h"
#include "policy/priority_load.h"
#include "policy/random.h"
#include "policy/weighted_schedule.h"
#include "snapshot/snapshot.h"

namespace mooring::policy {

class Balancer {
 public:
  /// Open connections of a host, by its position in hosts(); for least_request.
  using ActiveOf = std::function<std::uint64_t(std::size_t host)>;

  /// `endpoints` outlives this object.
  Balancer(const snapshot::EndpointsPart& endpoints,
           const snapshot::LoadBalancing& options,
           std::uint64_t seed);

  [[nodiscard]] const std::vector<Host>& hosts() const noexcept { return hosts_.list; }

  /// What the agent found out about a host: an endpoint that is ejected or fails its health check
  /// is not usable, whatever the assignment says of it.
  void set_usable(std::size_t host, bool is_usable);
  [[nodiscard]] HostHealth health(std::size_t host) const noexcept { return health_[host]; }

  struct Request {
    std::optional<std::uint64_t> hash;     // for ring_hash and maglev; none: a random one
    std::span<const SocketAddress> tried;  // by this connection; not chosen again
  };
  struct Choice {
    std::optional<std::size_t> host;  // none: no endpoint may be used, or all were tried
    bool is_panic = false;            // too few are healthy, so that health was not looked at
  };
  /// O(log n) for n hosts, but for the first call after a change, which is O(n log n).
  [[nodiscard]] Choice choose(const Request& request, const ActiveOf& active);

 private:
  // Hosts among which one choice is made.
  struct Pool {
    std::vector<std::uint32_t> hosts;
    std::optional<WeightedSchedule> schedule;  // their weights differ
    std::uint64_t position = 0;                // of round robin
  };
  struct Priority {
    Pool all;
    Pool healthy;
    Pool degraded;
    std::vector<Pool> healthy_by_locality;
    std::vector<Pool> degraded_by_locality;
    WeightedSchedule healthy_localities;
    WeightedSchedule degraded_localities;
    std::vector<double> healthy_locality_weights;
    std::vector<double> degraded_locality_weights;
    std::vector<std::uint32_t> hashed;  // the hosts of `ring` and `table`
    std::optional<HashRing> ring;
    std::optional<MaglevTable> table;
  };

  void refresh();
  void fill_pools();
  [[nodiscard]] static std::vector<Pool*> pools_of(Priority& priority);
  void schedule(Pool& pool);
  void weigh_localities(Priority& priority, std::size_t position);
  void build_hash(Priority& priority, std::size_t position, bool is_panic);
  [[nodiscard]] bool hashes() const noexcept;

  Choice choose_once(std::uint64_t hash, std::uint32_t attempt, const ActiveOf& active);
  std::optional<std::size_t> choose_hashed(Priority& priority,
                                           std::uint64_t hash,
                                           std::uint32_t attempt) const;
  Pool* pool_of(Priority& priority, ChosenPriority chosen, bool is_panic);
  std::optional<std::size_t> choose_from(Pool& pool, const ActiveOf& active);
  std::size_t fewest_of_some(const Pool& pool, const ActiveOf& active);
  [[nodiscard]] double weight_now(std::size_t host, const ActiveOf& active) const;
  Choice choose_untried(const Request& request);

  const snapshot::LoadBalancing options_;
  const std::uint32_t overprovisioning_percent_;
  Hosts hosts_;
  std::vector<HostHealth> health_;  // at the positions of hosts_.list
  std::vector<Priority> priorities_;
  std::vector<PriorityLoad> loads_;
  Random random_;
  bool is_stale_ = true;  // health has changed since refresh()
};

}  // namespace mooring::policy
