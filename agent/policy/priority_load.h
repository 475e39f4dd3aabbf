// How much of a cluster's traffic each priority gets, and which priorities are in panic: by the
// share of their endpoints that are healthy. Envoy's arithmetic, in whole percents.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace mooring::policy {

/// The endpoints of one priority.
struct PriorityHealth {
  std::size_t total = 0;  // the draining ones too
  std::size_t healthy = 0;
  std::size_t degraded = 0;
  std::size_t draining = 0;
};

struct PriorityLoad {
  std::uint32_t healthy_percent = 0;   // of the traffic, to its healthy endpoints
  std::uint32_t degraded_percent = 0;  // of the traffic, to its degraded endpoints
  bool is_panic = false;               // too few are healthy: health is not looked at
};

/// By position: the priority. The percents of all priorities add up to 100, also where no endpoint
/// is usable. `overprovisioning_percent` 140: a priority takes all of its traffic until fewer than
/// 71 % of its endpoints are healthy, and then passes a part on to the next. Below
/// `panic_threshold_percent` (of which the nearest whole number counts; 0: never) a priority is in
/// panic, unless the others make up for it.
[[nodiscard]] std::vector<PriorityLoad> build_priority_load(
    const std::vector<PriorityHealth>& priorities,
    std::uint32_t overprovisioning_percent,
    double panic_threshold_percent);

struct ChosenPriority {
  std::size_t priority = 0;
  bool is_degraded = false;  // among its degraded endpoints
};
/// Not for an empty list.
[[nodiscard]] ChosenPriority choose_priority(const std::vector<PriorityLoad>& loads,
                                             std::uint64_t random) noexcept;

}  // namespace mooring::policy
