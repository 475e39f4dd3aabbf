// What each command does, after its arguments were understood. Straight blocking code; one process
// per command.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cli/environment.h"
#include "cli/exit_code.h"

namespace mooring::cli {

/// `mooring join`: empty texts were not given.
struct JoinArguments {
  std::vector<std::string> urls;
  std::string ca_file;
  std::string token_file;  // "-": standard input
  std::string mesh;
  std::string name;
  std::string workload;
  std::string dataplane;
  std::string address;
  std::string proxy;
  std::uint32_t wait_s = 60;
  bool is_dry_run = false;
  bool without_capture = false;
};

/// What the options of the command line say; not every command uses all of them.
struct Arguments {
  std::string socket = "/run/mooring/admin.sock";
  std::string config_file = "/etc/mooring/agent.toml";
  std::string recording;  // config explain
  std::string level;
  std::uint32_t count = 10;
  bool as_json = false;
  bool with_dependencies = false;
  bool is_confirmed = false;  // --yes
  bool is_forced = false;     // --force
  bool is_strict = false;
  std::string expect;
  std::string root;
  JoinArguments join;
  bool keeps_config = false;
  std::vector<std::string> rest;  // for the commands that are scripts
};

using Command = ExitCode (*)(const Environment& environment, const Arguments& arguments);

[[nodiscard]] ExitCode status(const Environment& environment, const Arguments& arguments);
[[nodiscard]] ExitCode why(const Environment& environment, const Arguments& arguments);
[[nodiscard]] ExitCode reload(const Environment& environment, const Arguments& arguments);
[[nodiscard]] ExitCode drain(const Environment& environment, const Arguments& arguments);
[[nodiscard]] ExitCode log_level(const Environment& environment, const Arguments& arguments);
[[nodiscard]] ExitCode version(const Environment& environment, const Arguments& arguments);
[[nodiscard]] ExitCode config_check(const Environment& environment, const Arguments& arguments);
[[nodiscard]] ExitCode config_diff(const Environment& environment, const Arguments& arguments);
[[nodiscard]] ExitCode config_explain(const Environment& environment, const Arguments& arguments);
[[nodiscard]] ExitCode capture_on(const Environment& environment, const Arguments& arguments);
[[nodiscard]] ExitCode capture_confirm(const Environment& environment, const Arguments& arguments);
[[nodiscard]] ExitCode capture_off(const Environment& environment, const Arguments& arguments);
[[nodiscard]] ExitCode capture_status(const Environment& environment, const Arguments& arguments);
[[nodiscard]] ExitCode capture_plan(const Environment& environment, const Arguments& arguments);
[[nodiscard]] ExitCode join(const Environment& environment, const Arguments& arguments);
[[nodiscard]] ExitCode leave(const Environment& environment, const Arguments& arguments);
// These two are scripts, so that they can be run where Mooring is not installed.
[[nodiscard]] ExitCode preflight(const Environment& environment, const Arguments& arguments);
[[nodiscard]] ExitCode verify_host(const Environment& environment, const Arguments& arguments);

}  // namespace mooring::cli
