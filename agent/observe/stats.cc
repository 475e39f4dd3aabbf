#include "observe/stats.h"

#include <algorithm>

#include "core/result.h"

namespace mooring::observe {

void Histogram::record(double value_ms) noexcept {
  const double value = value_ms > 0 ? value_ms : 0;  // also for NaN
  const auto bound = std::lower_bound(kMsBounds.begin(), kMsBounds.end(), value);
  buckets_[static_cast<std::size_t>(bound - kMsBounds.begin())].add();
  sum_us_.add(static_cast<std::uint64_t>(value * 1000.0));
}

namespace {

template <class Map, class Key>
auto& find_or_make(Map& map, const Key& key, std::size_t workers, std::size_t worker) {
  AGENT_CHECK(worker < workers);
  auto& blocks = map[key];
  using Block = typename Map::mapped_type::element_type;
  if (!blocks) blocks = std::make_unique<Block[]>(workers);
  return blocks[worker];
}

}  // namespace

ListenerStats& StatsRegistry::listener(const ListenerKey& key, std::size_t worker) {
  return find_or_make(listeners_, key, workers_, worker);
}

ClusterStats& StatsRegistry::cluster(const std::string& name, std::size_t worker) {
  return find_or_make(clusters_, name, workers_, worker);
}

}  // namespace mooring::observe
