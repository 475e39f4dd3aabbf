// Sums over the workers' counters, for reports. Control thread.
#pragma once

#include <cstdint>
#include <string>

#include "observe/stats.h"

namespace mooring::app {

struct ServiceCounts {
  std::uint64_t connections = 0;
  std::uint64_t accepted = 0;
  std::uint64_t denied = 0;
  std::uint64_t shadow_denied = 0;
  std::uint64_t failed = 0;  // refused before policy was asked
};
[[nodiscard]] ServiceCounts count_listener(const observe::StatsRegistry& stats,
                                           const std::string& listener);

struct UpstreamCounts {
  std::uint64_t connections = 0;
  std::uint64_t opened = 0;
  std::uint64_t failures = 0;
};
[[nodiscard]] UpstreamCounts count_cluster(const observe::StatsRegistry& stats,
                                           const std::string& cluster);

/// The last connection to an endpoint of the cluster failed, whichever worker tried it.
[[nodiscard]] bool last_connect_failed(const observe::StatsRegistry& stats,
                                       const std::string& cluster);

}  // namespace mooring::app
