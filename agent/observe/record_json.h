// A record as a JSON object, for the access log and for `mooring why`.
#pragma once

#include <nlohmann/json.hpp>

#include "observe/access_log.h"

namespace mooring::observe {

/// Fields in a fixed order; facts that do not exist are left out. Peer-chosen text is escaped.
[[nodiscard]] nlohmann::ordered_json to_json(const AccessRecord& record);

/// One line; bytes that are no UTF-8 are replaced.
[[nodiscard]] std::string dump(const nlohmann::ordered_json& json);

}  // namespace mooring::observe
