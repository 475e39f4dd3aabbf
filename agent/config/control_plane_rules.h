// What [control_plane] forbids and demands of the other sections. Pure.
#pragma once

#include "config/model.h"
#include "config/problems.h"

namespace mooring::config {

/// With a control plane everything that it names is refused in the file, so that nobody believes in
/// a setting without effect; without one, so is what only a control plane is told.
void check_control_plane(AgentConfig& config, const Places& places, Problems& problems);

}  // namespace mooring::config
