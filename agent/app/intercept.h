// From the configuration to what mooring-net is asked to capture. Pure, but for the names that
// `resolve` looks up.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "capture_client/intercept_config.h"
#include "config/model.h"
#include "core/result.h"
#include "snapshot/resources.h"

namespace mooring::app {

using ResolveName = std::function<std::vector<IpAddress>(const std::string& host_name)>;

struct Interception {
  capture_client::InterceptConfig config;
  std::vector<std::string> notes;  // what is left out and why
};

/// Services that have `listen` are not captured. Fails when the bounds of the helper's protocol are
/// exceeded.
[[nodiscard]] Checked<Interception> intercept_config(const config::AgentConfig& config,
                                                     const ResolveName& resolve);

/// What a control plane's resources have in them. Virtual addresses (240.0.0.0/4, which nobody
/// has) are captured as one block for each port. A service is strict where each of its chains
/// needs TLS, or is refused.
[[nodiscard]] Checked<Interception> intercept_config(const snapshot::Resources& resources,
                                                     const config::Capture& capture);

}  // namespace mooring::app
