// Commands that work without the agent: the configuration, and mooring-net.
#include <ostream>

#include <unistd.h>

#include <fmt/format.h>
#include <fmt/ostream.h>
#include <nlohmann/json.hpp>

#include "app/intercept.h"
#include "capture_client/helper_connection.h"
#include "cli/commands.h"
#include "cli/json_view.h"
#include "cli/text_table.h"

namespace mooring::cli {

namespace {

using config::AgentConfig;

constexpr int kHttpOk = 200;
constexpr int kHttpForbidden = 403;
constexpr std::chrono::seconds kConfirmWithin{120};  // mooring-rollback.timer comes after it

void print_problems(const Environment& environment, const std::vector<Diagnostic>& problems) {
  for (const Diagnostic& problem : problems)
    fmt::print(*environment.err, "{}\n", describe(problem));
}

template <class Element>
std::string count_of(const std::vector<Element>& list, std::string_view noun) {
  return counted(static_cast<std::int64_t>(list.size()), noun);
}

/// Prints what is wrong; nullopt then.
std::optional<AgentConfig> load(const Environment& environment, const Arguments& arguments) {
  auto config = environment.load_config(arguments.config_file);
  if (config) return std::move(*config);
  print_problems(environment, config.error());
  fmt::print(
      *environment.err, "{}: {}\n", arguments.config_file, count_of(config.error(), "problem"));
  return std::nullopt;
}

ExitCode report(const Environment& environment, const Diagnostic& problem) {
  fmt::print(*environment.err, "mooring: {}\n", describe(problem));
  return ExitCode::failed;
}

/// The helper's sentences say what to do; the exit code tells "not there" from "no".
ExitCode report_helper(const Environment& environment,
                       const std::string& socket,
                       const Diagnostic& problem) {
  report(environment, problem);
  if (::access(socket.c_str(), F_OK) != 0) return ExitCode::unavailable;
  if (::access(socket.c_str(), W_OK) != 0) return ExitCode::permission;
  return ExitCode::failed;
}

nlohmann::ordered_json to_json(const capture_client::InterceptConfig& config) {
  const auto fate = [](capture_client::OnAgentDeath value) {
    return value == capture_client::OnAgentDeath::open ? "open" : "closed";
  };
  nlohmann::ordered_json json = {
      {"outbound_port", config.outbound_port},
      {"inbound_port", config.inbound_port},
      {"outbound", nlohmann::ordered_json::array()},
      {"inbound", nlohmann::ordered_json::array()},
      {"exclude_addresses", nlohmann::ordered_json::array()},
      {"exclude_ports", config.exclude_ports},
      {"other", config.other == capture_client::OtherTraffic::pass ? "pass" : "refuse"}};
  for (const auto& target : config.outbound) {
    json["outbound"].push_back({{"prefix", target.prefix.to_string()},
                                {"port", target.port},
                                {"on_agent_death", fate(target.on_agent_death)}});
  }
  for (const auto& port : config.inbound) {
    json["inbound"].push_back({{"port", port.port}, {"on_agent_death", fate(port.on_agent_death)}});
  }
  for (const IpPrefix& prefix : config.exclude_addresses)
    json["exclude_addresses"].push_back(prefix.to_string());
  return json;
}

nlohmann::ordered_json to_json(const capture_client::Status& status) {
  nlohmann::ordered_json json = {{"state", capture_client::to_string(status.state)},
                                 {"backend", status.backend},
                                 {"is_owned", status.is_owned},
                                 {"table", status.table},
                                 {"has_guard", status.has_guard},
                                 {"is_draining", status.is_draining},
                                 {"agent_pid", status.agent_pid},
                                 {"agent_uid", status.agent_uid},
                                 {"repairs", status.repairs},
                                 {"openings", status.openings},
                                 {"since_unix_s", status.since_unix_s},
                                 {"problem", status.problem},
                                 {"config", nullptr}};
  if (status.config) json["config"] = to_json(*status.config);
  return json;
}

struct Wanted {
  AgentConfig config;
  app::Interception interception;
};

/// The configuration as mooring-net will get it.
std::optional<Wanted> wanted(const Environment& environment, const Arguments& arguments) {
  auto config = load(environment, arguments);
  if (!config) return std::nullopt;
  auto interception = app::intercept_config(*config, environment.resolve);
  if (!interception) {
    report(environment, interception.error());
    return std::nullopt;
  }
  return Wanted{std::move(*config), std::move(*interception)};
}

/// The socket of mooring-net is in the configuration; without a readable one its default is tried.
std::string helper_socket(const Environment& environment, const Arguments& arguments) {
  const auto config = environment.load_config(arguments.config_file);
  return config ? config->capture.helper_socket : config::Capture{}.helper_socket;
}

void print_notes(std::ostream& out, const std::vector<std::string>& notes) {
  for (const std::string& note : notes)
    fmt::print(out, "note: {}\n", note);
}

std::string summary(const capture_client::InterceptConfig& config) {
  return fmt::format("{}, {}",
                     count_of(config.outbound, "outbound destination"),
                     count_of(config.inbound, "inbound port"));
}

/// Prints a line each; ok if all are well.
ExitCode send_canaries(const Environment& environment, const Arguments& arguments) {
  const auto reply = environment.admin(arguments.socket, "POST", "/canary");
  if (!reply) {
    report(environment,
           {arguments.socket,
            "the agent does not answer: " + describe(reply.error()),
            "is mooringd running?"});
    return reply.error().code == Errc::permission ? ExitCode::permission : ExitCode::unavailable;
  }
  const auto results = nlohmann::json::parse(reply->body, nullptr, false);
  if (reply->status != kHttpOk || !results.is_array()) {
    report(environment,
           {arguments.socket,
            "the agent tries nothing: " + text_of(results, "error"),
            "is it an older version?"});
    return reply->status == kHttpForbidden ? ExitCode::permission : ExitCode::failed;
  }
  bool is_well = true;
  for (const auto& result : results) {
    const std::string problem = text_of(result, "problem");
    is_well = is_well && problem.empty();
    fmt::print(
        *environment.out, "{}: {}\n", text_of(result, "target"), problem.empty() ? "ok" : problem);
  }
  return is_well ? ExitCode::ok : ExitCode::failed;
}

/// Prints what else wants the same connections or ports; false if capture may not begin for it.
bool is_clear(const Environment& environment, bool is_forced) {
  const auto conflicts = environment.find_conflicts();
  if (!conflicts) {
    fmt::print(*environment.err,
               "note: nothing looked for other meshes: {}\n",
               describe(conflicts.error()));
    return true;
  }
  print_problems(environment, *conflicts);
  if (conflicts->empty() || is_forced) return true;
  *environment.err << "Nothing was captured: this is in the way. --force goes on all the same.\n";
  return false;
}

ExitCode capture_on_trial(const Environment& environment,
                          const Arguments& arguments,
                          const Wanted& want) {
  const capture_client::InterceptConfig& config = want.interception.config;
  const std::string& socket = want.config.capture.helper_socket;
  const auto status = environment.capture_status(socket);
  if (!status) return report_helper(environment, socket, status.error());
  if (const ExitCode code = send_canaries(environment, arguments);
      code != ExitCode::ok && !arguments.is_forced) {
    *environment.err
        << "Nothing was captured: what failed above would fail for the applications too. "
           "--force goes on all the same.\n";
    return code;
  }
  if (const auto open = environment.count_uncaptured(config, status->agent_uid);
      open && *open > 0) {
    fmt::print(*environment.out,
               "{} open already: not captured before the application opens them again.\n",
               *open == 1 ? "1 connection is" : fmt::format("{} connections are", *open));
  }
  // First, so that nothing is captured without it, whatever happens to this process.
  const auto timer = environment.set_rollback(true);
  if (!timer) {
    report(environment, timer.error());
    *environment.err << "Nothing was captured: what ends an unconfirmed capture cannot be started. "
                        "--yes captures without it.\n";
    return ExitCode::failed;
  }
  const auto limit = environment.capture_try(socket, config, kConfirmWithin);
  if (!limit) return report_helper(environment, socket, limit.error());
  if (limit->count() == 0) {
    if (const auto stopped = environment.set_rollback(false); !stopped)
      report(environment, stopped.error());
    fmt::print(
        *environment.out, "Capture is on: {}. All of it was confirmed before.\n", summary(config));
    return ExitCode::ok;
  }
  fmt::print(*environment.out,
             "Capture is on, for a trial: {}.\n"
             "Log in to this host again, from where you usually come, and run there within {} s:\n"
             "    mooring capture confirm\n"
             "Otherwise everything goes back to what it was before.\n",
             summary(config),
             limit->count());
  if (!*timer) {
    *environment.out
        << "There is no systemd here: only mooring-net itself ends the trial, keep it running.\n";
  }
  return ExitCode::ok;
}

}  // namespace

ExitCode config_check(const Environment& environment, const Arguments& arguments) {
  const auto config = load(environment, arguments);
  if (!config) return ExitCode::config;
  if (environment.check_files) {
    const std::vector<Diagnostic> problems = environment.check_files(*config);
    print_problems(environment, problems);
    if (!problems.empty()) return ExitCode::config;
  }
  for (const std::string& warning : config->warnings)
    fmt::print(*environment.err, "warning: {}\n", warning);
  fmt::print(*environment.out,
             "{}: correct, {}, {}, {}\n",
             arguments.config_file,
             count_of(config->services, "service"),
             count_of(config->upstreams, "upstream"),
             count_of(config->warnings, "warning"));
  return ExitCode::ok;
}

ExitCode capture_on(const Environment& environment, const Arguments& arguments) {
  const auto want = wanted(environment, arguments);
  if (!want) return ExitCode::config;
  print_notes(*environment.err, want->interception.notes);
  const std::string& socket = want->config.capture.helper_socket;
  if (!is_clear(environment, arguments.is_forced)) return ExitCode::failed;
  if (!arguments.is_confirmed) return capture_on_trial(environment, arguments, *want);
  if (const auto done = environment.capture_on(socket, want->interception.config); !done) {
    return report_helper(environment, socket, done.error());
  }
  fmt::print(*environment.out, "Capture is on: {}.\n", summary(want->interception.config));
  return ExitCode::ok;
}

ExitCode capture_confirm(const Environment& environment, const Arguments& arguments) {
  const std::string socket = helper_socket(environment, arguments);
  if (const auto done = environment.capture_confirm(socket); !done)
    return report_helper(environment, socket, done.error());
  // Nothing is on trial any more: it would find nothing to do.
  if (const auto stopped = environment.set_rollback(false); !stopped)
    report(environment, stopped.error());
  *environment.out << "Capture is confirmed and stays, also after a reboot.\n";
  return ExitCode::ok;
}

ExitCode capture_off(const Environment& environment, const Arguments& arguments) {
  const std::string socket = helper_socket(environment, arguments);
  if (const auto done = environment.capture_off(socket); !done)
    return report_helper(environment, socket, done.error());
  *environment.out << "Capture is off: new connections go where their applications send them, "
                      "without mutual TLS.\n";
  return ExitCode::ok;
}

ExitCode capture_status(const Environment& environment, const Arguments& arguments) {
  const std::string socket = helper_socket(environment, arguments);
  const auto status = environment.capture_status(socket);
  if (!status) return report_helper(environment, socket, status.error());
  if (arguments.as_json) {
    *environment.out << to_json(*status).dump(
                            2, ' ', false, nlohmann::ordered_json::error_handler_t::replace)
                     << "\n";
  } else {
    *environment.out << capture_client::describe(*status);
  }
  return status->state == capture_client::CaptureState::active ? ExitCode::ok : ExitCode::failed;
}

ExitCode capture_plan(const Environment& environment, const Arguments& arguments) {
  const auto want = wanted(environment, arguments);
  if (!want) return ExitCode::config;
  if (arguments.as_json) {
    nlohmann::ordered_json json = to_json(want->interception.config);
    json["notes"] = want->interception.notes;
    *environment.out << json.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace)
                     << "\n";
    return ExitCode::ok;
  }
  const auto status = environment.capture_status(want->config.capture.helper_socket);
  const auto text =
      environment.capture_plan(want->interception.config, status ? status->backend : "");
  if (!text) return report(environment, text.error());
  print_notes(*environment.out, want->interception.notes);
  *environment.out << *text;
  return ExitCode::ok;
}

}  // namespace mooring::cli
