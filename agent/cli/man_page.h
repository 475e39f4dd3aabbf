// Manual pages in man(7), for groff and mandoc. Only mooring-docs, a tool of the build, uses it.
#pragma once

#include <string>
#include <string_view>

#include "cli/program.h"

namespace mooring::cli {

/// `date` is YYYY-MM-DD.
[[nodiscard]] std::string program_page(const Program& program, std::string_view date);
[[nodiscard]] std::string agent_toml_page(std::string_view date);
[[nodiscard]] std::string capture_toml_page(std::string_view date);

}  // namespace mooring::cli
