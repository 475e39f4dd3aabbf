#include "policy/choose_cluster.h"

namespace mooring::policy {

std::size_t choose_cluster(std::span<const snapshot::WeightedCluster> clusters,
                           std::uint64_t random) noexcept {
  std::uint64_t total = 0;
  for (const snapshot::WeightedCluster& cluster : clusters)
    total += cluster.weight;
  if (total == 0) return 0;
  std::uint64_t rest = random % total;
  for (std::size_t i = 0; i < clusters.size(); ++i) {
    if (rest < clusters[i].weight) return i;
    rest -= clusters[i].weight;
  }
  return 0;
}

}  // namespace mooring::policy
