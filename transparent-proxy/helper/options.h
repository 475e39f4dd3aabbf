// The command line of mooring-net.
#pragma once

#include <optional>
#include <string>

namespace mooring::transparent_proxy {

inline constexpr int kExitConfig = 78;  // EX_CONFIG of sysexits.h

struct Options {
  std::string socket = "/run/mooring/net.sock";
  std::string config = "/etc/mooring/capture.toml";
  std::string agent_user = "mooring";
  std::string state_dir = "/run/mooring/net-state";
  std::string user;     // empty: stay who we are
  std::string backend;  // empty: the first that works
  std::string log_level = "info";
  bool wants_probe_only = false;
  bool is_plain = false;
  bool without_tproxy = false;
};

/// An exit code to end with, or nothing to go on. Prints help and complaints itself.
[[nodiscard]] std::optional<int> parse_options(int argc, char** argv, Options& options);

}  // namespace mooring::transparent_proxy
