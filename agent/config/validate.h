// Rules that span several settings: conflicts, overlaps, and what is legal but should be known.
#pragma once

#include "config/model.h"
#include "config/problems.h"

namespace mooring::config {

/// Adds to `problems` what makes the configuration unusable and to `config.warnings` what is
/// accepted.
void validate(AgentConfig& config, const Places& places, Problems& problems);

}  // namespace mooring::config
