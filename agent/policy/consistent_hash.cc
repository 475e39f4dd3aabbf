#include "policy/consistent_hash.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <queue>
#include <utility>

#include "core/result.h"
#include "policy/hash.h"

namespace mooring::policy {

HashRing::HashRing(const std::vector<HashedEndpoint>& endpoints, const Options& options) {
  if (endpoints.empty()) return;
  double least = 1;
  for (const HashedEndpoint& endpoint : endpoints)
    least = std::min(least, endpoint.share);
  if (!(least > 0)) return;
  const double wanted = std::ceil(least * static_cast<double>(options.minimum_size)) / least;
  const double scale = std::min(wanted, static_cast<double>(options.maximum_size));
  points_.reserve(static_cast<std::size_t>(std::ceil(scale)));
  // A running sum, so that shares which are no whole numbers of points even out over the list.
  double target = 0;
  std::string key;
  for (std::size_t i = 0; i < endpoints.size(); ++i) {
    target += scale * endpoints[i].share;
    for (std::uint64_t n = 0; static_cast<double>(points_.size()) < target; ++n) {
      key.assign(endpoints[i].key).append("_").append(std::to_string(n));
      points_.push_back(
          {options.murmur ? murmur_hash2(key) : xx_hash64(key), static_cast<std::uint32_t>(i)});
    }
  }
  std::sort(points_.begin(), points_.end());
}

std::size_t HashRing::pick(std::uint64_t hash, std::uint32_t attempt) const noexcept {
  const auto found =
      std::lower_bound(points_.begin(), points_.end(), hash, [](const Point& point, auto value) {
        return point.hash < value;
      });
  const auto at = static_cast<std::size_t>(found - points_.begin());
  return points_[(at + attempt) % points_.size()].endpoint;
}

namespace {

constexpr std::uint64_t kMaxTable = 5000011;

struct MaglevEntry {
  std::uint32_t endpoint = 0;
  double share = 0;
  std::uint64_t offset = 0;
  std::uint64_t skip = 0;
  std::uint64_t next = 0;  // in its permutation of the table
  double target = 0;

  /// The first round from `from` on in which it has a turn: the greatest share has one each round,
  /// one of a third of it every third.
  [[nodiscard]] std::uint64_t due(std::uint64_t from) const noexcept {
    auto round = static_cast<std::uint64_t>(std::max(target / share - 1, 0.0));
    for (round = std::max(round, from); static_cast<double>(round) * share < target;)
      ++round;
    return round;
  }
};

// In the order of the keys, so that the table does not depend on the order of the list.
std::vector<MaglevEntry> maglev_entries(const std::vector<HashedEndpoint>& endpoints,
                                        std::uint64_t size) {
  std::vector<MaglevEntry> entries;
  entries.reserve(endpoints.size());
  for (std::size_t i = 0; i < endpoints.size(); ++i) {
    if (!(endpoints[i].share > 0)) continue;
    entries.push_back({.endpoint = static_cast<std::uint32_t>(i),
                       .share = endpoints[i].share,
                       .offset = xx_hash64(endpoints[i].key) % size,
                       .skip = xx_hash64(endpoints[i].key, 1) % (size - 1) + 1});
  }
  std::sort(entries.begin(), entries.end(), [&](const MaglevEntry& a, const MaglevEntry& b) {
    return endpoints[a.endpoint].key < endpoints[b.endpoint].key;
  });
  return entries;
}

}  // namespace

// Only then does each endpoint's permutation reach every place of the table.
bool MaglevTable::is_size(std::uint64_t size) noexcept {
  if (size < 2 || size > kMaxTable) return false;
  for (std::uint64_t factor = 2; factor * factor <= size; ++factor) {
    if (size % factor == 0) return false;
  }
  return true;
}

MaglevTable::MaglevTable(const std::vector<HashedEndpoint>& endpoints, std::uint64_t size) {
  AGENT_CHECK(is_size(size));
  std::vector<MaglevEntry> entries = maglev_entries(endpoints, size);
  if (entries.empty()) return;
  double most = 0;
  using Turn = std::pair<std::uint64_t, std::size_t>;  // round, position in `entries`
  std::priority_queue<Turn, std::vector<Turn>, std::greater<>> turns;
  for (std::size_t i = 0; i < entries.size(); ++i) {
    most = std::max(most, entries[i].share);
    turns.emplace(1, i);
  }
  constexpr std::uint32_t kFree = std::numeric_limits<std::uint32_t>::max();
  table_.assign(size, kFree);
  for (std::uint64_t filled = 0; filled < size; ++filled) {
    const auto [round, position] = turns.top();
    turns.pop();
    MaglevEntry& entry = entries[position];
    entry.target += most;
    std::uint64_t at = 0;
    do {
      at = (entry.offset + entry.skip * entry.next++) % size;
    } while (table_[at] != kFree);
    table_[at] = entry.endpoint;
    turns.emplace(entry.due(round + 1), position);
  }
}

std::size_t MaglevTable::pick(std::uint64_t hash, std::uint32_t attempt) const noexcept {
  // Most bits change with the attempt, so that the others' attempts spread.
  if (attempt > 0) hash ^= ~std::uint64_t{0} - attempt + 1;
  return table_[hash % table_.size()];
}

}  // namespace mooring::policy
