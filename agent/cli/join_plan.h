// What `mooring join` is going to write: the files, as values. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "app/dataplane.h"
#include "config/model.h"
#include "core/result.h"
#include "transparent-proxy/bounds.h"

namespace mooring::cli {

/// Where join puts its files, beside agent.toml.
struct JoinPaths {
  explicit JoinPaths(const std::string& config_file);

  std::string config_file;
  std::string folder;  // control-plane/: the three below
  std::string ca_file;
  std::string token_file;
  std::string dataplane_file;
  std::string settings;  // conf.d/10-control-plane.toml
  std::string bounds;    // capture.toml
};

/// The head of every file that join writes, and by which leave knows it.
inline constexpr std::string_view kWrittenByJoin = "# Written by `mooring join`";
/// The file that was there before.
inline constexpr std::string_view kBeforeJoin = ".before-join";

/// "http://user:password@proxy:3128": a secret.
[[nodiscard]] std::string proxy_url(const config::ControlPlaneProxy& proxy);

/// conf.d/10-control-plane.toml.
[[nodiscard]] std::string render_settings(const config::ControlPlane& control_plane, bool captures);

/// What the agent has to be allowed for this Dataplane: its inbound ports, and the addresses that
/// Kuma gives to the services of a mesh (240.0.0.0/4) at every port, and queries for their names.
/// What `present` allows stays allowed.
[[nodiscard]] transparent_proxy::Bounds widen_bounds(transparent_proxy::Bounds present,
                                                     const app::Dataplane& dataplane);
[[nodiscard]] std::string render_bounds(const transparent_proxy::Bounds& bounds);

struct PlannedFile {
  enum class Action : std::uint8_t { keep, create, replace };
  std::string path;
  std::string content;
  unsigned mode = 0640;  // root:mooring
  Action action = Action::create;
  bool needs_restart = true;  // the agent takes it into use only then
  bool is_restored = false;   // by `mooring leave`: what it replaces is kept
};
[[nodiscard]] const char* to_string(PlannedFile::Action action) noexcept;

}  // namespace mooring::cli
