#include "policy/priority_load.h"

#include <algorithm>
#include <cmath>

namespace mooring::policy {

namespace {

using Percents = std::vector<std::uint32_t>;

std::uint32_t availability(std::size_t usable,
                           const PriorityHealth& health,
                           std::uint32_t overprovisioning_percent) noexcept {
  const std::size_t counted = health.total - health.draining;
  if (counted == 0) return 0;
  return static_cast<std::uint32_t>(
      std::min<std::uint64_t>(100, std::uint64_t{overprovisioning_percent} * usable / counted));
}

// From the first priority down, as much as each can take. Returns what is left.
std::uint32_t hand_out(std::uint32_t load,
                       const Percents& available,
                       std::uint32_t total,
                       Percents& out) {
  for (std::size_t i = 0; i < available.size(); ++i) {
    out[i] = std::min(load, available[i] * 100 / total);
    load -= out[i];
  }
  return load;
}

bool add_to_first(const Percents& available, std::uint32_t rest, Percents& out) {
  for (std::size_t i = 0; i < available.size(); ++i) {
    if (available[i] == 0) continue;
    out[i] += rest;
    return true;
  }
  return false;
}

bool is_below(const PriorityHealth& health, std::uint32_t threshold) noexcept {
  const std::size_t counted = health.total - health.draining;
  if (counted == 0) return threshold > 0;
  return static_cast<double>(health.healthy + health.degraded) * 100.0 <
         static_cast<double>(threshold) * static_cast<double>(counted);
}

// Health says nothing any more: by the number of endpoints.
void load_in_total_panic(const std::vector<PriorityHealth>& priorities,
                         std::vector<PriorityLoad>& loads) {
  std::size_t all = 0;
  for (const PriorityHealth& health : priorities)
    all += health.total;
  if (all == 0) {
    loads.front().healthy_percent = 100;
    return;
  }
  std::uint32_t rest = 100;
  for (std::size_t i = 0; i < loads.size(); ++i) {
    loads[i].healthy_percent = static_cast<std::uint32_t>(100 * priorities[i].total / all);
    loads[i].degraded_percent = 0;
    rest -= loads[i].healthy_percent;
  }
  for (std::size_t i = 0; i < loads.size(); ++i) {
    if (priorities[i].total == 0) continue;
    loads[i].healthy_percent += rest;
    return;
  }
}

void load_by_health(const Percents& healthy,
                    const Percents& degraded,
                    std::uint32_t total,
                    std::vector<PriorityLoad>& loads) {
  Percents to_healthy(loads.size());
  Percents to_degraded(loads.size());
  std::uint32_t rest = hand_out(100, healthy, total, to_healthy);
  rest = hand_out(rest, degraded, total, to_degraded);
  // What rounding left goes to the first that can take it.
  if (!add_to_first(healthy, rest, to_healthy)) add_to_first(degraded, rest, to_degraded);
  for (std::size_t i = 0; i < loads.size(); ++i) {
    loads[i].healthy_percent = to_healthy[i];
    loads[i].degraded_percent = to_degraded[i];
  }
}

}  // namespace

std::vector<PriorityLoad> build_priority_load(const std::vector<PriorityHealth>& priorities,
                                              std::uint32_t overprovisioning_percent,
                                              double panic_threshold_percent) {
  std::vector<PriorityLoad> loads(priorities.size());
  if (priorities.empty()) return loads;
  Percents healthy;
  Percents degraded;
  std::uint64_t sum = 0;
  for (const PriorityHealth& health : priorities) {
    healthy.push_back(availability(health.healthy, health, overprovisioning_percent));
    degraded.push_back(availability(health.degraded, health, overprovisioning_percent));
    sum += healthy.back() + degraded.back();
  }
  const auto total = static_cast<std::uint32_t>(std::min<std::uint64_t>(100, sum));
  const auto threshold =
      static_cast<std::uint32_t>(std::lround(std::clamp(panic_threshold_percent, 0.0, 100.0)));
  bool all_panic = true;
  for (std::size_t i = 0; i < loads.size(); ++i) {
    loads[i].is_panic = total < 100 && is_below(priorities[i], threshold);
    all_panic = all_panic && loads[i].is_panic;
  }
  if (all_panic) {
    load_in_total_panic(priorities, loads);
  } else if (total > 0) {
    load_by_health(healthy, degraded, total, loads);
  } else {
    loads.front().healthy_percent = 100;  // where there is nobody to get it
  }
  return loads;
}

ChosenPriority choose_priority(const std::vector<PriorityLoad>& loads,
                               std::uint64_t random) noexcept {
  const std::uint64_t drawn = random % 100 + 1;
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < loads.size(); ++i) {
    sum += loads[i].healthy_percent;
    if (drawn <= sum) return {i, false};
  }
  for (std::size_t i = 0; i < loads.size(); ++i) {
    sum += loads[i].degraded_percent;
    if (drawn <= sum) return {i, true};
  }
  return {};
}

}  // namespace mooring::policy
