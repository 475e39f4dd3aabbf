// The agent's answers as an admin reads them. Pure: JSON (docs/status-json.md) to text.
#pragma once

#include <string>

#include <nlohmann/json.hpp>

namespace mooring::cli {

/// One screen of /status.
[[nodiscard]] std::string render_status(const nlohmann::json& status, bool has_colour);

/// The last update of `control_plane` of /status: a line for each name that it touched.
[[nodiscard]] std::string render_update(const nlohmann::json& control_plane);

/// /why: a paragraph per connection.
[[nodiscard]] std::string render_why(const nlohmann::json& events, bool has_colour);

}  // namespace mooring::cli
