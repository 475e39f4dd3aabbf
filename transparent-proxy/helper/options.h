// The command line of mooring-net.
#pragma once

#include <optional>
#include <span>
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

/// A row of the command line, for parsing, the help and the man page.
struct OptionRow {
  const char* name;
  const char* value;  // "PATH"; empty: a flag
  const char* help;
  std::string Options::* text;  // what it sets: one of the two; help and version set nothing
  bool Options::* flag;

  [[nodiscard]] std::string default_text() const;
};
[[nodiscard]] std::span<const OptionRow> option_rows() noexcept;

inline constexpr const char* kUsageNotes =
    "Needs CAP_NET_ADMIN; iptables-legacy also CAP_NET_RAW. Exit code 78: a wrong option or file.";

/// An exit code to end with, or nothing to go on. Prints help and complaints itself.
[[nodiscard]] std::optional<int> parse_options(int argc, char** argv, Options& options);

}  // namespace mooring::transparent_proxy
