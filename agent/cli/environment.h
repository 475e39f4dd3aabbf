// Everything outside of this process that a command needs, so that tests run without sockets, files
// or root.
#pragma once

#include <chrono>
#include <functional>
#include <iosfwd>
#include <string>
#include <string_view>
#include <vector>

#include "app/intercept.h"
#include "capture_client/messages.h"
#include "config/model.h"
#include "core/result.h"

namespace mooring::cli {

/// Where the commands lie that are scripts.
inline constexpr const char* kScriptFolder = "/usr/libexec/mooring/";

struct AdminAnswer {
  int status = 0;
  std::string body;
};

struct DaemonOptions {
  std::string config_file = "/etc/mooring/agent.toml";
  bool check_only = false;
};

struct Environment {
  std::ostream* out = nullptr;  // outlive the call of run()
  std::ostream* err = nullptr;
  bool has_colour = false;

  /// One request to the agent's admin socket.
  std::function<Result<AdminAnswer>(
      const std::string& socket, std::string_view method, const std::string& target)>
      admin;
  /// mooring-net: `mooring capture on`, `off` and `status`.
  std::function<Checked<void>(const std::string& socket, const capture_client::InterceptConfig&)>
      capture_on;
  /// The same on trial: the time in which it has to be confirmed, zero where that was done before.
  std::function<Checked<std::chrono::seconds>(const std::string& socket,
                                              const capture_client::InterceptConfig&,
                                              std::chrono::seconds limit)>
      capture_try;
  std::function<Checked<void>(const std::string& socket)> capture_confirm;
  /// What else on this host wants the same connections or ports: what preflight calls red.
  std::function<Checked<std::vector<Diagnostic>>()> find_conflicts;
  /// Connections that are open already and would not be captured.
  std::function<Checked<std::size_t>(const capture_client::InterceptConfig&,
                                     std::uint32_t agent_uid)>
      count_uncaptured;
  /// systemd's timer that ends what nobody confirms, without mooring-net; false: there is no
  /// systemd.
  std::function<Checked<bool>(bool on)> set_rollback;
  std::function<Checked<void>(const std::string& socket)> capture_off;
  std::function<Checked<capture_client::Status>(const std::string& socket)> capture_status;
  /// The rules that would be applied on this host, as text with its notes.
  /// `backend` as mooring-net names it; empty: its first choice.
  std::function<Checked<std::string>(const capture_client::InterceptConfig&,
                                     const std::string& backend)>
      capture_plan;
  /// Addresses of a host name; empty when there are none.
  app::ResolveName resolve;
  std::function<tl::expected<config::AgentConfig, std::vector<Diagnostic>>(const std::string& file)>
      load_config;
  /// What is wrong with the files that a configuration names (identity). May be empty.
  std::function<std::vector<Diagnostic>(const config::AgentConfig&)> check_files;
  /// Becomes the program at `path`; returns only if that fails.
  std::function<Error(const std::string& path, const std::vector<std::string>& arguments)> exec;
  /// mooringd itself.
  std::function<int(const DaemonOptions&)> daemon;
};

/// The real one, but for `resolve`, `check_files` and `daemon`, which the program sets: they need
/// modules that the command line does not know.
[[nodiscard]] Environment make_environment();

}  // namespace mooring::cli
