// Which of this host's metrics a MeshMetric wants: its `sidecar.profiles`.
#pragma once

#include <cstddef>
#include <functional>
#include <nlohmann/json.hpp>
#include <string_view>

#include "core/result.h"

namespace mooring::app {

/// Of `exclude`, and of `include`.
inline constexpr std::size_t kMaxMetricSelectors = 64;

/// By the name of a metric, as Kuma's data plane decides: `include` beats `exclude`, which beats
/// `appendProfiles`. Of those, All and Basic are one here: what Basic leaves out of Envoy's
/// hundreds this agent does not have. Empty: all are wanted. Fails for what is not of that form.
[[nodiscard]] Checked<std::function<bool(std::string_view metric)>> read_metric_profile(
    const nlohmann::json& sidecar);

}  // namespace mooring::app
