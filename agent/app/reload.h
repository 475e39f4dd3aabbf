// What a new configuration changes. Pure.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "app/sockets.h"
#include "config/model.h"
#include "core/result.h"

namespace mooring::app {

struct BoundChange {
  BoundAddresses to_open;
  std::vector<std::string> to_close;  // a listener whose address changed is in both
};
[[nodiscard]] BoundChange bound_change(const BoundAddresses& before, const BoundAddresses& after);

/// One sentence for each setting that only a restart takes into use.
[[nodiscard]] std::vector<std::string> needs_restart(const config::AgentConfig& before,
                                                     const config::AgentConfig& after);

/// Set where a running agent cannot follow at all: with a control plane everything comes from
/// there.
[[nodiscard]] std::optional<Diagnostic> cannot_follow(const config::AgentConfig& before,
                                                      const config::AgentConfig& after);

/// Puts what only a restart changes back to what runs, so that status and the next comparison tell
/// the truth.
void keep_until_restart(const config::AgentConfig& running, config::AgentConfig& next);

/// As `mooring status` shows them: one line for each.
[[nodiscard]] std::string lines(const std::vector<Diagnostic>& problems);

}  // namespace mooring::app
