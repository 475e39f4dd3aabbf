// `mooring leave`: the host works as without the mesh again.
#include <unistd.h>

#include <filesystem>

#include <fmt/format.h>
#include <fmt/ostream.h>

#include "cli/commands.h"
#include "cli/join_host.h"
#include "cli/json_view.h"
#include "config/load.h"

namespace mooring::cli {

namespace {

using Json = nlohmann::json;

constexpr Milliseconds kPollInterval{200};

ExitCode report(const Environment& environment, ExitCode code, const Diagnostic& problem) {
  fmt::print(*environment.err, "mooring: {}\n", describe(problem));
  return code;
}

Json ask_status(const Environment& environment, const Arguments& arguments) {
  const auto reply = environment.admin(arguments.socket, "GET", "/status");
  return reply ? Json::parse(reply->body, nullptr, false) : Json();
}

/// What the agent captured is gone with it; a plan of root's is not.
void end_capture(const Environment& environment, const std::string& helper_socket) {
  const auto status = environment.capture_status(helper_socket);
  if (!status || (status->state != capture_client::CaptureState::active &&
                  status->state != capture_client::CaptureState::agent_dead && !status->has_guard))
    return;
  if (const auto off = environment.capture_off(helper_socket); !off) {
    fmt::print(*environment.err, "warning: capture: {}\n", describe(off.error()));
    return;
  }
  *environment.out << "Capture, which root had switched on, is off.\n";
}

/// An agent that is told to end drops capture, lets connections end, and its stream ends with it:
/// the control plane takes the Dataplane away ten seconds later.
Checked<void> end_agent(const Environment& environment,
                        const Arguments& arguments,
                        std::int64_t pid) {
  if (const auto stopped = stop_agent(); !stopped) {
    return fail(stopped.error());
  } else if (!*stopped) {
    if (auto ended = end_process(static_cast<pid_t>(pid)); !ended) return ended;
  }
  const MonoTime deadline = Clock().mono() + std::chrono::seconds(arguments.join.wait_s);
  while (Clock().mono() < deadline) {
    if (number_of(member(ask_status(environment, arguments), "host"), "pid") != pid) return {};
    pause_for(kPollInterval);
  }
  return fail(
      Diagnostic{"mooringd",
                 fmt::format("still lets connections end after {} s", arguments.join.wait_s),
                 "it ends by itself within timeouts.drain"});
}

/// What the agent keeps of the mesh; keys are among it.
void forget_state(const Environment& environment, const std::string& folder) {
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
    const std::string name = entry.path().filename();
    if (!name.starts_with("last-good")) continue;
    std::filesystem::remove(entry.path(), error);
    if (error) fmt::print(*environment.err, "warning: {}: {}\n", name, error.message());
  }
}

}  // namespace

ExitCode leave(const Environment& environment, const Arguments& arguments) {
  if (::geteuid() != 0) {
    return report(environment,
                  ExitCode::permission,
                  {"mooring leave", "changes this host", "run it as root"});
  }
  const JoinPaths paths(arguments.config_file);
  const auto config = environment.load_config(arguments.config_file);
  const bool has_joined = config && config->control_plane;
  const Json status = ask_status(environment, arguments);
  const std::int64_t pid = number_of(member(status, "host"), "pid");
  if (!has_joined && !member(status, "control_plane").is_object() &&
      ::access(paths.settings.c_str(), F_OK) != 0) {
    *environment.out << "This host has joined no control plane.\n";
    return ExitCode::ok;
  }
  if (pid != 0) {
    if (const auto ended = end_agent(environment, arguments, pid); !ended)
      return report(environment, ExitCode::failed, ended.error());
    *environment.out << "The agent has ended, and with it the stream to the control plane.\n";
  }
  end_capture(environment,
              config ? config->capture.helper_socket : config::Capture{}.helper_socket);
  if (config) {
    if (const auto& plane = config->control_plane) forget_state(environment, plane->state_dir);
  }
  if (arguments.keeps_config) return ExitCode::ok;
  const auto gone = remove_files(paths);
  if (!gone) return report(environment, ExitCode::failed, gone.error());
  for (const std::string& path : *gone) {
    fmt::print(*environment.out,
               "{:<10} {}\n",
               ::access(path.c_str(), F_OK) == 0 ? "restored" : "removed",
               path);
  }
  return ExitCode::ok;
}

}  // namespace mooring::cli
