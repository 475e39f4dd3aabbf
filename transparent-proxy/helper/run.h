// mooring-net from its command line to its end.
#pragma once

namespace mooring::transparent_proxy {

/// Exit codes: 0 after SIGTERM, 78 (EX_CONFIG of sysexits.h) for a wrong option or file, 1 for
/// anything else.
[[nodiscard]] int run_helper(int argc, char** argv);

}  // namespace mooring::transparent_proxy
