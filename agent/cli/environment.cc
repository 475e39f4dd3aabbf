#include "cli/environment.h"

#include <pwd.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <iostream>
#include <string_view>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "admin/client.h"
#include "capture_client/helper_connection.h"
#include "cli/json_view.h"
#include "config/load.h"
#include "transparent-proxy/command.h"
#include "transparent-proxy/describe_plan.h"
#include "transparent-proxy/facts.h"

namespace mooring::cli {

namespace {

using capture_client::HelperConnection;
using capture_client::InterceptConfig;

constexpr const char* kAgentUser = "mooring";

bool wants_colour() {
  // https://no-color.org; one thread, so the environment does not change under us.
  const char* refused = std::getenv("NO_COLOR");  // NOLINT(concurrency-mt-unsafe)
  return (refused == nullptr || *refused == '\0') && ::isatty(STDOUT_FILENO) == 1;
}

Result<AdminAnswer> ask_agent(const std::string& socket,
                              std::string_view method,
                              const std::string& target) {
  return admin::request(socket, method, target).map([](http::Response response) {
    return AdminAnswer{response.status, std::move(response.body)};
  });
}

Checked<void> turn_on(const std::string& socket, const InterceptConfig& config) {
  auto helper = HelperConnection::open(socket);
  if (!helper) return fail(helper.error());
  return helper->set_plan(config);
}

Checked<void> turn_off(const std::string& socket) {
  auto helper = HelperConnection::open(socket);
  if (!helper) return fail(helper.error());
  return helper->drop();
}

Checked<capture_client::Status> ask_status(const std::string& socket) {
  auto helper = HelperConnection::open(socket);
  if (!helper) return fail(helper.error());
  return helper->status();
}

Checked<std::chrono::seconds> try_on(const std::string& socket,
                                     const InterceptConfig& config,
                                     std::chrono::seconds limit) {
  auto helper = HelperConnection::open(socket);
  if (!helper) return fail(helper.error());
  return helper->try_plan(config, limit);
}

Checked<void> confirm(const std::string& socket) {
  auto helper = HelperConnection::open(socket);
  if (!helper) return fail(helper.error());
  return helper->confirm();
}

Checked<std::vector<Diagnostic>> find_conflicts() {
  const std::string script = fmt::format("{}preflight", kScriptFolder);
  const auto done = transparent_proxy::run_command(
      {"sh", script, "--json", "--only", "rules,programs,ports"}, "");
  if (!done) return fail(done.error());
  const auto report = nlohmann::json::parse(done->out, nullptr, false);
  const auto& results = member(report, "results");
  if (!results.is_array()) return fail(Diagnostic{script, "cannot be run", ""});
  std::vector<Diagnostic> conflicts;
  for (const auto& result : results) {
    if (text_of(result, "level") != "red") continue;
    conflicts.push_back(
        {text_of(result, "check"), text_of(result, "text"), text_of(result, "remedy")});
  }
  return conflicts;
}

Checked<std::size_t> count_uncaptured(const InterceptConfig& config, std::uint32_t agent_uid) {
  const auto plan = transparent_proxy::plan(config, transparent_proxy::gather_facts(agent_uid));
  if (!plan) return fail(plan.error());
  return transparent_proxy::count_uncaptured(*plan, transparent_proxy::tcp_entries());
}

Checked<bool> set_rollback(bool on) {
  if (::access("/run/systemd/system", F_OK) != 0) return false;
  // restart: a timer that runs already would go on with the time it has left.
  const auto done = transparent_proxy::run_or_complain(
      {"systemctl", on ? "restart" : "stop", "mooring-rollback.timer"}, "");
  if (!done) return fail(done.error());
  return true;
}

Checked<std::string> plan_text(const InterceptConfig& config, const std::string& backend) {
  std::string text;
  const passwd* user = ::getpwnam(kAgentUser);  // NOLINT(concurrency-mt-unsafe)
  if (user == nullptr)
    text += fmt::format("note: there is no user {}; uid 0 stands for it below\n", kAgentUser);
  const auto facts = transparent_proxy::gather_facts(user == nullptr ? 0 : user->pw_uid);
  const auto rules = transparent_proxy::describe_plan(config, facts, backend);
  if (!rules) return fail(rules.error());
  return text + *rules;
}

Error become(const std::string& path, const std::vector<std::string>& arguments) {
  std::vector<std::string> words{path};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<char*> argv;
  argv.reserve(words.size() + 1);
  for (std::string& word : words)
    argv.push_back(word.data());
  argv.push_back(nullptr);
  ::execv(path.c_str(), argv.data());
  return error_from_errno(errno, "exec");
}

}  // namespace

Environment make_environment() {
  Environment environment;
  environment.out = &std::cout;
  environment.err = &std::cerr;
  environment.has_colour = wants_colour();
  environment.admin = ask_agent;
  environment.capture_on = turn_on;
  environment.capture_try = try_on;
  environment.capture_confirm = confirm;
  environment.find_conflicts = find_conflicts;
  environment.count_uncaptured = count_uncaptured;
  environment.set_rollback = set_rollback;
  environment.capture_off = turn_off;
  environment.capture_status = ask_status;
  environment.capture_plan = plan_text;
  environment.exec = become;
  environment.load_config = config::load;
  return environment;
}

}  // namespace mooring::cli
