// Completions for shells. Only mooring-docs, a tool of the build, uses it.
#pragma once

#include <string>

#include "cli/program.h"

namespace mooring::cli {

[[nodiscard]] std::string bash_completion(const Program& program);
[[nodiscard]] std::string zsh_completion(const Program& program);
[[nodiscard]] std::string fish_completion(const Program& program);

}  // namespace mooring::cli
