// The second half of `mooring join`: writes, starts, waits, and says what this host is now.
#include <unistd.h>

#include <algorithm>
#include <ostream>

#include <fmt/format.h>
#include <fmt/ostream.h>
#include <fmt/ranges.h>

#include "cli/join.h"
#include "cli/json_view.h"

namespace mooring::cli {

namespace {

using Json = nlohmann::json;

constexpr Milliseconds kPollInterval{200};
// Three seconds: what a retry could change has changed by then.
constexpr unsigned kSureAfter = 15;

tl::unexpected<Failure> failed(ExitCode code, Diagnostic problem) {
  return tl::unexpected(Failure{code, std::move(problem)});
}

/// "8080, 8000-8099".
std::string ports_text(const std::vector<transparent_proxy::PortRange>& ranges) {
  std::vector<std::string> items;
  items.reserve(ranges.size());
  for (const auto& range : ranges) {
    items.push_back(range.first == range.last ? fmt::format("{}", range.first)
                                              : fmt::format("{}-{}", range.first, range.last));
  }
  return items.empty() ? "none" : fmt::format("{}", fmt::join(items, ", "));
}

std::string prefixes_text(const std::vector<IpPrefix>& prefixes) {
  std::vector<std::string> items;
  items.reserve(prefixes.size());
  for (const IpPrefix& prefix : prefixes)
    items.push_back(prefix.to_string());
  return items.empty() ? "none" : fmt::format("{}", fmt::join(items, ", "));
}

Json problem_json(const Failure& failure) {
  return {{"path", failure.problem.path},
          {"message", failure.problem.message},
          {"hint", failure.problem.hint},
          {"exit_code", static_cast<int>(failure.code)}};
}

}  // namespace

bool Join::changes_agent() const {
  return std::any_of(files_.begin(), files_.end(), [](const PlannedFile& file) {
    return file.needs_restart && file.action != PlannedFile::Action::keep;
  });
}

Attempt<void> Join::apply() {
  if (::geteuid() != 0) {
    return failed(ExitCode::permission,
                  {"mooring join", "changes this host", "run it as root, or with --dry-run"});
  }
  pid_before_ = agent_pid();
  if (auto written = write_files(files_); !written)
    return failed(ExitCode::failed, written.error());
  const bool is_running = pid_before_ != 0;
  if (is_running && !changes_agent()) {
    pid_before_ = 0;  // that one is right
    return {};
  }
  const auto started = start_agent(is_running);
  if (!started) return failed(ExitCode::failed, started.error());
  if (!*started)
    say("There is no systemd here: start mooring-net and mooringd, or start mooringd again.\n");
  return {};
}

std::int64_t Join::agent_pid() const {
  return number_of(member(ask_status(), "host"), "pid");
}

Json Join::ask_status() const {
  const auto reply = environment_.admin(arguments_.socket, "GET", "/status");
  return reply ? Json::parse(reply->body, nullptr, false) : Json();
}

/// Of the agent that has read what was written.
Attempt<void> Join::wait_until_up() {
  const MonoTime deadline = Clock().mono() + std::chrono::seconds(arguments_.join.wait_s);
  unsigned refusals = 0;  // in a row
  for (;;) {
    const Json status = ask_status();
    const bool is_new = status.is_object() &&
                        number_of(member(status, "host"), "pid") != pid_before_ &&
                        member(status, "control_plane").is_object();
    if (is_new) status_ = status;
    if (is_new && is_up(status)) return {};
    refusals = is_new && is_refused(status) ? refusals + 1 : 0;
    if (refusals == kSureAfter || Clock().mono() >= deadline) return tl::unexpected(explain_wait());
    pause_for(kPollInterval);
  }
}

/// Live, with an identity, and its listeners accept.
bool Join::is_up(const Json& status) {
  return text_of(member(status, "control_plane"), "state") == "live" &&
         member(status, "identity").is_object() && member(status, "ready") == true;
}

/// Somebody has to do something: a stream that the control plane still remembers needs time only,
/// and has no remedy.
bool Join::is_refused(const Json& status) {
  const Json& plane = member(status, "control_plane");
  return text_of(plane, "state") != "live" && !text_of(plane, "remedy").empty();
}

Failure Join::explain_wait() const {
  if (!status_.is_object()) {
    return {ExitCode::unavailable,
            {arguments_.socket,
             fmt::format("the agent does not answer within {} s", arguments_.join.wait_s),
             "systemctl status mooringd; journalctl -u mooringd"}};
  }
  const Json& plane = member(status_, "control_plane");
  const std::string url = text_of(plane, "address");
  const bool is_live = text_of(plane, "state") == "live";
  if (!is_live && !text_of(plane, "last_error").empty())
    return {ExitCode::failed, {url, text_of(plane, "last_error"), text_of(plane, "remedy")}};
  if (!is_live) {
    return {ExitCode::unavailable,
            {url,
             fmt::format("no stream within {} s, the agent is {}",
                         arguments_.join.wait_s,
                         text_of(plane, "state")),
             "it goes on trying: mooring status"}};
  }
  if (!member(status_, "identity").is_object()) {
    return {ExitCode::failed,
            {url,
             fmt::format("the mesh {} gives this host no identity", dataplane_.mesh),
             "a MeshIdentity has to select this Dataplane; until then it is not protected"}};
  }
  return {ExitCode::failed, {url, "the agent is not ready", "mooring status says what is missing"}};
}

// ---- saying

void Join::say(const std::string& text) const {
  // At once, for who reads it from a pipe: what follows may take a minute.
  if (!arguments_.as_json) *environment_.out << text << std::flush;
}

void Join::show_plan() const {
  std::vector<std::string> inbound;
  inbound.reserve(dataplane_.inbound.size());
  for (const app::DataplaneInbound& each : dataplane_.inbound) {
    inbound.push_back(fmt::format("{}{}{} ({})",
                                  printable(each.name),
                                  each.name.empty() ? "" : " ",
                                  each.port,
                                  printable(each.protocol)));
  }
  say(
      fmt::format("Answers    {}\n"
                  "Dataplane  {} of mesh {}{}, at {}\n"
                  "Serves     {}\n"
                  "Capture    {}; allowed by {}: inbound {}, outbound {}{}\n",
                  fmt::join(answered_, ", "),
                  dataplane_.name,
                  dataplane_.mesh,
                  dataplane_.workload.empty() ? "" : ", workload " + dataplane_.workload,
                  dataplane_.address.to_string(),
                  inbound.empty() ? "nothing" : fmt::format("{}", fmt::join(inbound, ", ")),
                  config_.capture.enabled ? "on" : "off",
                  paths_.bounds,
                  ports_text(bounds_.inbound_ports),
                  prefixes_text(bounds_.outbound_addresses),
                  bounds_.may_redirect_dns ? ", queries for names" : ""));
  for (const PlannedFile& file : files_)
    say(fmt::format("{:<10} {}\n", to_string(file.action), file.path));
  for (const std::string& warning : warnings_)
    fmt::print(*environment_.err, "warning: {}\n", warning);
}

void Join::show_host() const {
  const Json& identity = member(status_, "identity");
  say(
      fmt::format("\nThis host is {} in mesh {}.\n"
                  "Identity   {}\n"
                  "           issued by {}, until {}\n",
                  dataplane_.name,
                  dataplane_.mesh,
                  text_of(identity, "spiffe_id"),
                  text_of(identity, "issuer"),
                  text_of(identity, "not_after")));
  for (const char* list : {"services", "upstreams"}) {
    std::vector<std::string> names;
    for (const Json& each : member(status_, list)) {
      const std::string state = text_of(each, "state");
      names.push_back(text_of(each, "name") + (state.empty() ? "" : " (" + state + ")"));
    }
    say(fmt::format("{:<10} {}\n",
                    std::string_view(list) == "services" ? "Services" : "Neighbours",
                    names.empty() ? "none" : fmt::format("{}", fmt::join(names, ", "))));
  }
}

void Join::print_json(const Failure* failure) const {
  Json files = Json::array();
  for (const PlannedFile& file : files_)
    files.push_back({{"path", file.path}, {"action", to_string(file.action)}});
  Json inbound = Json::array();
  for (const app::DataplaneInbound& each : dataplane_.inbound) {
    inbound.push_back({{"name", each.name}, {"port", each.port}, {"protocol", each.protocol}});
  }
  const Json result = {{"joined", failure == nullptr && status_.is_object()},
                       {"dry_run", arguments_.join.is_dry_run},
                       {"answered", answered_},
                       {"dataplane",
                        {{"mesh", dataplane_.mesh},
                         {"name", dataplane_.name},
                         {"workload", dataplane_.workload},
                         {"address", dataplane_.address.to_string()},
                         {"inbound", std::move(inbound)}}},
                       {"capture",
                        {{"enabled", config_.capture.enabled},
                         {"inbound", ports_text(bounds_.inbound_ports)},
                         {"outbound", prefixes_text(bounds_.outbound_addresses)}}},
                       {"files", std::move(files)},
                       {"warnings", warnings_},
                       {"problem", failure == nullptr ? Json() : problem_json(*failure)},
                       {"status", status_}};
  *environment_.out << result.dump(2, ' ', false, Json::error_handler_t::replace) << "\n";
}

ExitCode Join::finish(const Attempt<void>& done) const {
  if (arguments_.as_json) print_json(done ? nullptr : &done.error());
  if (done) return ExitCode::ok;
  if (!arguments_.as_json)
    fmt::print(*environment_.err, "mooring: {}\n", describe(done.error().problem));
  return done.error().code;
}

ExitCode Join::run() {
  if (const auto checked = check(); !checked) return finish(checked);
  show_plan();
  if (arguments_.join.is_dry_run) {
    say("Nothing was changed. The token itself is looked at when the agent connects.\n");
    return finish({});
  }
  if (const auto applied = apply(); !applied) return finish(applied);
  if (arguments_.join.wait_s > 0) {
    if (const auto waited = wait_until_up(); !waited) return finish(waited);
    show_host();
  }
  return finish({});
}

ExitCode join(const Environment& environment, const Arguments& arguments) {
  return Join(environment, arguments).run();
}

}  // namespace mooring::cli
