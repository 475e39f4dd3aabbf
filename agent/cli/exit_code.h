// What the commands return; documented in mooring --help and relied on by scripts. The numbers
// above 63 are those of sysexits.h.
#pragma once

namespace mooring::cli {

enum class ExitCode : int {
  ok = 0,
  failed = 1,  // the answer is no: not ready, not captured, refused
  usage = 2,
  unavailable = 69,  // the agent or mooring-net does not answer
  permission = 77,
  config = 78,  // the configuration has mistakes
};

}  // namespace mooring::cli
