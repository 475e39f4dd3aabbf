// The reference of agent.toml, printed from the schema: docs/configuration.md and the man page
// cannot be wrong.
#pragma once

#include <string>

namespace mooring::config {

/// One Markdown section with a table of keys for each section of the file.
[[nodiscard]] std::string reference_markdown();

}  // namespace mooring::config
