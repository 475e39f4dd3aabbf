// What of an Envoy's bootstrap can be in a file for this agent.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "core/result.h"

namespace mooring::discovery {

/// `bootstrap` with the names of fields as in proto's JSON, where they may also be as in the
/// messages: "ads_config" becomes "adsConfig". Each field in it is of its type. The diagnostic
/// names the first field that is not known, or is something else; its path is empty.
[[nodiscard]] Checked<nlohmann::json> bootstrap_fields(const nlohmann::json& bootstrap);

}  // namespace mooring::discovery
