// The text that Prometheus scrapes: what the data path counted, under Envoy's names, plus what only
// Mooring has. A pure function of what it is given; control thread.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/clock.h"
#include "observe/stats.h"

namespace mooring::observe {

/// What the process knows beyond the data path; the composition root fills it in for each scrape.
struct ServerFacts {
  std::string version{};
  bool live = true;  // false while draining or before the first snapshot
  std::chrono::seconds uptime{0};
  std::uint64_t memory_allocated_bytes = 0;
  std::optional<WallTime> certificate_not_after{};  // empty: this host has no identity
  WallTime now{};                                   // what the expiry is counted from
  std::uint64_t identity_updates = 0;               // certificates, keys or bundles taken into use
  std::optional<bool> control_plane_connected{};    // empty: there is no control plane
  std::uint64_t config_reloads = 0;
  std::uint64_t config_reload_failures = 0;
  std::uint64_t access_log_written = 0;
  std::uint64_t access_log_dropped = 0;
  std::uint64_t access_log_failures = 0;
  std::uint64_t log_dropped = 0;
  bool capture_on = false;
  std::uint64_t capture_repairs = 0;
  std::uint64_t connection_limit =
      0;  // 0: none; else the rest of it is every cluster's remaining_cx
};

struct PrometheusOptions {
  /// On every sample, first: mesh, kuma_io_zone, kuma_workload as the control plane or the
  /// configuration gives them.
  std::vector<std::pair<std::string, std::string>> labels{};
  bool unused_clusters = false;  // also clusters that never had a connection or an attempt at one
  std::function<bool(std::string_view metric)> wants{};  // by the name after TYPE; empty: all
};

/// Text exposition format 0.0.4.
[[nodiscard]] std::string render_prometheus(const StatsRegistry& registry,
                                            const ServerFacts& facts,
                                            const PrometheusOptions& options = {});

}  // namespace mooring::observe
