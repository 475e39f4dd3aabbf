// What the admin API says about the agent, as JSON: docs/status-json.md. Pure.
#pragma once

#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "app/state.h"

namespace mooring::app {

struct Problem {
  bool is_error = false;
  std::string text;
};
[[nodiscard]] std::vector<Problem> problems(const Report& report);

/// The last connection to the application behind a service failed, whichever worker tried it.
[[nodiscard]] bool application_refuses(const observe::StatsRegistry& stats,
                                       const config::Service& service);

/// In a word: "healthy", "ejected", "unhealthy", "draining", "degraded". `told` is what the control
/// plane says of it.
[[nodiscard]] const char* endpoint_state(
    const EndpointReport& endpoint,
    snapshot::HealthStatus told = snapshot::HealthStatus::unknown) noexcept;

/// `control_plane` of /status; null without one. Names and reasons are a peer's: escaped and cut.
[[nodiscard]] nlohmann::ordered_json control_plane_json(const Report& report);

/// `services` (inbound) or `upstreams` (outbound) of /status on a host that has joined: what the
/// control plane named and is served, at most 1,000.
[[nodiscard]] nlohmann::ordered_json mesh_services_json(const Report& report,
                                                        snapshot::Direction direction);

[[nodiscard]] std::string status_json(const Report& report);
/// Without secrets: key material is named by its files only.
[[nodiscard]] std::string config_dump_json(const Report& report);
[[nodiscard]] std::string clusters_json(const Report& report);

/// The same as envoy.admin.v3.ConfigDump and Clusters, for a control plane.
[[nodiscard]] std::string envoy_config_dump_json(const Report& report);
[[nodiscard]] std::string envoy_clusters_json(const Report& report);
/// As lines "cluster::address::what::value".
[[nodiscard]] std::string envoy_clusters_text(const Report& report);

}  // namespace mooring::app
