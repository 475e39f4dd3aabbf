// The command lines of mooring and mooringd, which are one program: the name it was called by
// decides, or the first argument (`mooring mooringd ...`).
#pragma once

#include "cli/environment.h"

namespace mooring::cli {

/// Understands the arguments, runs the command and returns the exit code of the process.
/// `environment.daemon` is called for mooringd without --check.
[[nodiscard]] int run(int argc, const char* const* argv, const Environment& environment);

}  // namespace mooring::cli
