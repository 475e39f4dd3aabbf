// Runs a program of the host (nft, iptables-restore) with text on its standard input. Blocking,
// bounded in time and bytes; mooring-net only.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"

namespace mooring::transparent_proxy {

struct CommandOutput {
  int exit_code = 0;
  std::string out;
  std::string err;
};

/// `argv[0]` is looked up in the standard folders of system programs, never in PATH. Fails if it
/// cannot be started or does not end within ten seconds; a program's own failure is in exit_code.
[[nodiscard]] Checked<CommandOutput> run_command(const std::vector<std::string>& argv,
                                                 std::string_view input);

/// Success, or the program's first line of complaint.
[[nodiscard]] Checked<std::string> run_or_complain(const std::vector<std::string>& argv,
                                                   std::string_view input);

/// The full path, or empty if the host has no such program.
[[nodiscard]] std::string find_program(const std::string& name);

}  // namespace mooring::transparent_proxy
