// What the programs were built with. The build writes the table: agent/cli/CMakeLists.txt.
#pragma once

#include <span>

namespace mooring::cli {

struct Dependency {
  const char* name;
  const char* version;
  bool is_linked_in;  // else it comes with the host, in a version that may be another by now
};

[[nodiscard]] std::span<const Dependency> dependencies();

}  // namespace mooring::cli
