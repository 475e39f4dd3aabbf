// The reference of agent.toml, printed from the schema: docs/configuration.md and the man page
// cannot be wrong.
#pragma once

#include <string>
#include <string_view>

#include "config/schema.h"

namespace mooring::config {

/// One Markdown section with a table of keys for each section of the file.
[[nodiscard]] std::string reference_markdown();
/// "required", and under which condition; empty for a key that may be missing.
[[nodiscard]] std::string_view need_text(const Option& option) noexcept;
/// " (1 to 100)"; empty where the format's own range holds.
[[nodiscard]] std::string range_text(const Option& option);

}  // namespace mooring::config
