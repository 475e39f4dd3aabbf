#include <ostream>

#include <fmt/format.h>
#include <fmt/ostream.h>

#include "cli/commands.h"
#include "cli/dependencies.h"
#include "cli/json_view.h"
#include "cli/screens.h"

namespace mooring::cli {

namespace {

using Json = nlohmann::json;

constexpr int kOk = 200;
constexpr int kForbidden = 403;
constexpr int kRefused = 422;
constexpr int kNotReady = 503;

struct Answer {
  ExitCode code = ExitCode::ok;
  int status = 0;
  std::string text;
  Json json;
};

ExitCode unreachable(const Environment& environment,
                     const Arguments& arguments,
                     const Error& error) {
  if (error.code == Errc::permission) {
    fmt::print(
        *environment.err,
        "mooring: {} does not let this user in\nRun it as root or as a member of group mooring.\n",
        arguments.socket);
    return ExitCode::permission;
  }
  fmt::print(*environment.err,
             "mooring: the agent does not answer at {}: {}\nIs mooringd running? systemctl status "
             "mooringd\n",
             arguments.socket,
             describe(error));
  return ExitCode::unavailable;
}

/// Asks the agent and reports everything but success and the statuses that the caller handles
/// itself.
Answer ask(const Environment& environment,
           const Arguments& arguments,
           std::string_view method,
           const std::string& target,
           int also_expected = kOk) {
  const auto reply = environment.admin(arguments.socket, method, target);
  if (!reply) return {unreachable(environment, arguments, reply.error()), 0, {}, {}};
  Answer answer{ExitCode::ok, reply->status, reply->body, Json::parse(reply->body, nullptr, false)};
  if (answer.status == kOk || answer.status == also_expected) return answer;
  const std::string why = text_of(answer.json, "error");
  if (answer.status == kForbidden) {
    fmt::print(*environment.err, "mooring: {}\n", why.empty() ? "only root may do this" : why);
    answer.code = ExitCode::permission;
    return answer;
  }
  fmt::print(*environment.err,
             "mooring: the agent answered {} to {} {}{}\n",
             answer.status,
             method,
             target,
             why.empty() ? "" : ": " + why);
  answer.code = ExitCode::failed;
  return answer;
}

ExitCode no_json(const Environment& environment) {
  fmt::print(*environment.err, "mooring: the agent's answer is no JSON; is it another version?\n");
  return ExitCode::failed;
}

}  // namespace

ExitCode status(const Environment& environment, const Arguments& arguments) {
  const Answer answer = ask(environment, arguments, "GET", "/status", kNotReady);
  if (answer.code != ExitCode::ok) return answer.code;
  if (!answer.json.is_object()) return no_json(environment);
  *environment.out << (arguments.as_json ? answer.text
                                         : render_status(answer.json, environment.has_colour));
  return member(answer.json, "ready") == true ? ExitCode::ok : ExitCode::failed;
}

ExitCode config_diff(const Environment& environment, const Arguments& arguments) {
  const Answer answer = ask(environment, arguments, "GET", "/status", kNotReady);
  if (answer.code != ExitCode::ok) return answer.code;
  if (!answer.json.is_object()) return no_json(environment);
  const Json& plane = member(answer.json, "control_plane");
  const Json& update = member(plane, "last_update");
  *environment.out << (arguments.as_json ? update.dump(2) + "\n" : render_update(plane));
  return update.is_object() ? ExitCode::ok : ExitCode::failed;
}

ExitCode why(const Environment& environment, const Arguments& arguments) {
  const Answer answer =
      ask(environment, arguments, "GET", fmt::format("/why?limit={}", arguments.count));
  if (answer.code != ExitCode::ok) return answer.code;
  if (!answer.json.is_array()) return no_json(environment);
  *environment.out << (arguments.as_json ? answer.text
                                         : render_why(answer.json, environment.has_colour));
  return ExitCode::ok;
}

ExitCode reload(const Environment& environment, const Arguments& arguments) {
  const Answer answer = ask(environment, arguments, "POST", "/reload", kRefused);
  if (answer.code != ExitCode::ok) return answer.code;
  if (answer.status == kRefused) {
    fmt::print(*environment.err,
               "mooring: the new configuration was refused, the running one is untouched:\n");
    for (const Json& problem : member(answer.json, "problems")) {
      fmt::print(
          *environment.err,
          "{}\n",
          describe(Diagnostic{
              text_of(problem, "path"), text_of(problem, "message"), text_of(problem, "hint")}));
    }
    return ExitCode::config;
  }
  for (const Json& warning : member(answer.json, "warnings")) {
    if (!warning.is_string()) continue;
    const std::string text = printable(warning.get_ref<const std::string&>());
    fmt::print(*environment.err, "warning: {}\n", text);
  }
  fmt::print(
      *environment.out, "Generation {} is in force.\n", number_of(answer.json, "generation"));
  return ExitCode::ok;
}

ExitCode drain(const Environment& environment, const Arguments& arguments) {
  const Answer answer = ask(environment, arguments, "POST", "/drain");
  if (answer.code == ExitCode::ok)
    *environment.out << "The agent takes no new connections and lets the open ones end.\n";
  return answer.code;
}

ExitCode log_level(const Environment& environment, const Arguments& arguments) {
  const Answer answer = ask(environment, arguments, "POST", "/logging?level=" + arguments.level);
  if (answer.code == ExitCode::ok)
    fmt::print(*environment.out, "The agent logs at {}.\n", arguments.level);
  return answer.code;
}

ExitCode version(const Environment& environment, const Arguments& arguments) {
  fmt::print(*environment.out, "mooring {}\n", MOORING_VERSION);
  if (arguments.with_dependencies) {
    for (const Dependency& one : dependencies()) {
      fmt::print(*environment.out,
                 "{:<14} {:<12} {}\n",
                 one.name,
                 one.is_linked_in ? "linked in" : "of the host",
                 one.version);
    }
  }
  return ExitCode::ok;
}

}  // namespace mooring::cli
