#include "cli/cli.h"

#include <algorithm>
#include <array>
#include <ostream>
#include <string_view>

#include <CLI/CLI.hpp>

#include "cli/commands.h"
#include "cli/definition.h"
#include "config/formats.h"
#include "config/nearest.h"
#include "core/log.h"

namespace mooring::cli {

namespace {

constexpr const char* kExitCodes =
    "Exit codes: 0 done; 1 the answer is no (not ready, not captured, refused); 2 wrong usage; 69 "
    "the agent or\n"
    "mooring-net does not answer; 77 no permission; 78 the configuration has mistakes.";

enum Takes : std::uint16_t {
  nothing = 0,
  json = 1,
  count = 2,
  level = 4,
  file = 8,
  yes = 16,
  strict = 32,
  footprint = 64,
  rest = 128,  // whatever else is written goes to the script
  deps = 256,
  recording = 512,
  membership = 1024,  // all of join's own
  leaving = 2048
};

struct CommandRow {
  const char* group;  // "capture" in `mooring capture on`; empty: none
  const char* name;
  const char* help;
  unsigned takes;
  Command command;
};

constexpr std::array<CommandRow, 18> kCommands{{
    {"", "status", "One screen: identity, capture, services, upstreams, problems", json, status},
    {"",
     "why",
     "The last refused or broken connections, each with cause and remedy",
     json | count,
     why},
    {"", "reload", "Apply the changed configuration; no connection is dropped", nothing, reload},
    {"", "drain", "Take no new connections and let the open ones end", nothing, drain},
    {"", "log-level", "Change the level of the agent's log until its next start", level, log_level},
    {"",
     "preflight",
     "Look at this host before anything is captured; changes nothing",
     json | strict | rest,
     preflight},
    {"",
     "verify-host",
     "Compare this host with what Mooring may have left on it",
     json | footprint | rest,
     verify_host},
    {"", "version", "Print the version", deps, version},
    {"",
     "join",
     "Make this host a member of a Kuma mesh; looks at everything before it changes anything",
     json | membership,
     join},
    {"", "leave", "Leave the mesh: the host works as without it again", leaving, leave},
    {"config", "check", "Name every mistake of the configuration", file, config_check},
    {"config",
     "diff",
     "What the control plane's last update added, changed and removed",
     json,
     config_diff},
    {"config",
     "explain",
     "What this agent makes of recorded xDS: what it serves, and what it does not",
     recording,
     config_explain},
    {"capture",
     "on",
     "Capture what the configuration says, now and after each start",
     yes,
     capture_on},
    {"capture",
     "confirm",
     "Keep what `on` captured; from a login that began after it",
     nothing,
     capture_confirm},
    {"capture", "off", "End capture: traffic flows as without Mooring", nothing, capture_off},
    {"capture", "status", "What is captured, and by which means", json, capture_status},
    {"capture",
     "plan",
     "Print the rules that `on` would apply; changes nothing",
     json,
     capture_plan},
}};

struct GroupRow {
  const char* name;
  const char* help;
};
constexpr std::array<GroupRow, 2> kGroups{
    {{"config", "The configuration"}, {"capture", "Interception of traffic"}}};

void add_wait(CLI::App& app, JoinArguments& join, const char* help) {
  app.add_option("--wait", join.wait_s, help)->check(CLI::Range(0, 3600))->capture_default_str();
}

void add_join_options(CLI::App& app, JoinArguments& join) {
  app.add_option("--control-plane",
                 join.urls,
                 "https://HOST:5678 of the control plane; several are tried in turn")
      ->required()
      ->type_name("URL");
  app.add_option("--ca-file", join.ca_file, "PEM: who signed the control plane's certificate")
      ->required()
      ->type_name("FILE");
  app.add_option("--token-file", join.token_file, "The dataplane token; - reads standard input")
      ->required()
      ->type_name("FILE");
  app.add_option("--mesh", join.mesh, "The mesh; the token's, or default");
  app.add_option("--name", join.name, "Name of the Dataplane; the token's, or this host's");
  app.add_option("--workload", join.workload, "What this host is a part of; the token's");
  app.add_option(
         "--dataplane", join.dataplane, "The Dataplane as YAML or JSON, instead of [[service]]")
      ->type_name("FILE");
  app.add_option("--address", join.address, "Where other hosts reach this one; by the route there");
  app.add_option("--proxy", join.proxy, "HTTP proxy on the way to the control plane")
      ->type_name("URL");
  app.add_flag(
      "--no-capture", join.without_capture, "Let the agent listen itself, capture nothing");
  app.add_flag("--dry-run", join.is_dry_run, "Look at everything, change nothing");
  add_wait(app, join, "Seconds until the mesh has to be up; 0: do not wait");
}

void add_options(CLI::App& app, const CommandRow& row, Arguments& arguments) {
  if (row.takes & json) {
    const bool is_script = (row.takes & rest) != 0;
    app.add_flag(
        "--json", arguments.as_json, is_script ? "Print JSON" : "Print JSON (docs/status-json.md)");
  }
  if (row.takes & count) {
    app.add_option("-n,--count", arguments.count, "How many connections")
        ->check(CLI::Range(1, 256))
        ->capture_default_str();
  }
  if (row.takes & level) {
    app.add_option("LEVEL", arguments.level, "debug, info, warn, error or off")
        ->required()
        ->check(CLI::IsMember({"debug", "info", "warn", "error", "off"}));
  }
  if (row.takes & file)
    app.add_option("FILE", arguments.config_file, "Instead of --config")->type_name("FILE");
  if (row.takes & recording) {
    app.add_option("FILE", arguments.recording, "A response or a resource, serialized protobuf")
        ->type_name("FILE")
        ->required();
  }
  if (row.takes & deps)
    app.add_flag("--deps", arguments.with_dependencies, "And what the programs were built with");
  if (row.takes & yes) {
    app.add_flag("--yes", arguments.is_confirmed, "For automation: no canary, nothing to confirm");
    app.add_flag("--force",
                 arguments.is_forced,
                 "Go on although a canary failed, or another mesh or program is in the way");
  }
  if (row.takes & membership) add_join_options(app, arguments.join);
  if (row.takes & leaving) {
    app.add_flag("--keep-config", arguments.keeps_config, "Keep the files that join wrote");
    add_wait(app, arguments.join, "Seconds that open connections may take to end");
  }
  if (row.takes & strict)
    app.add_flag("--strict", arguments.is_strict, "What is yellow fails as well");
  if (row.takes & footprint) {
    app.add_option(
           "--expect", arguments.expect, "What the host should look like; else what it does")
        ->check(CLI::IsMember({"installed", "removed", "purged"}));
    app.add_option("--root", arguments.root, "Look at the files of a system that is mounted there")
        ->type_name("FILE");
  }
}

/// The first word that is no command where one has to stand; empty if there is none.
std::string unknown_command(const CLI::App& app) {
  const std::vector<std::string> left = app.remaining(true);
  const auto word = std::find_if(
      left.begin(), left.end(), [](const std::string& text) { return text.rfind('-', 0) != 0; });
  return word == left.end() ? std::string() : *word;
}

std::string_view nearest_command(std::string_view word) {
  std::array<std::string_view, kCommands.size() + kGroups.size()> names;
  auto next =
      std::transform(kCommands.begin(), kCommands.end(), names.begin(), [](const CommandRow& row) {
        return row.name;
      });
  std::transform(
      kGroups.begin(), kGroups.end(), next, [](const GroupRow& row) { return row.name; });
  return config::nearest(word, names);
}

/// CLI11's own codes are beyond 100; ours are documented.
int finish_parsing(const CLI::App& app,
                   const CLI::ParseError& error,
                   const Environment& environment) {
  const bool is_help = error.get_exit_code() == static_cast<int>(CLI::ExitCodes::Success);
  const std::string unknown = is_help ? std::string() : unknown_command(app);
  if (unknown.empty()) {
    (void)app.exit(error, *environment.out, *environment.err);
    return static_cast<int>(is_help ? ExitCode::ok : ExitCode::usage);
  }
  *environment.err << app.get_name() << ": " << config::quote(unknown) << " is not understood";
  const std::string_view near = nearest_command(unknown);
  if (!near.empty()) *environment.err << "; did you mean " << near << "?";
  *environment.err << "\nRun with --help for more information.\n";
  return static_cast<int>(ExitCode::usage);
}

}  // namespace

void define_tool(CLI::App& app, ToolLine& line) {
  app.name("mooring");
  app.description("mooring: what an admin asks of the Mooring agent on this host");
  app.footer(kExitCodes);
  app.set_version_flag("--version", "mooring " MOORING_VERSION);
  app.add_option("--socket", line.arguments.socket, "The agent's admin socket")
      ->type_name("SOCKET")
      ->capture_default_str();
  app.add_option("--config", line.arguments.config_file, "The configuration of the agent")
      ->type_name("FILE")
      ->capture_default_str();
  app.require_subcommand(1);
  app.fallthrough();
  for (const GroupRow& group : kGroups)
    app.add_subcommand(group.name, group.help)->require_subcommand(1)->fallthrough();
  for (const CommandRow& row : kCommands) {
    CLI::App& parent = *row.group == '\0' ? app : *app.get_subcommand(row.group);
    CLI::App* command = parent.add_subcommand(row.name, row.help);
    add_options(*command, row, line.arguments);
    const bool has_rest = (row.takes & rest) != 0;
    command->allow_extras(has_rest)->fallthrough(!has_rest);
    command->callback([&line, &row, command] {
      line.chosen = row.command;
      line.arguments.rest = command->remaining();
    });
  }
}

void define_daemon(CLI::App& app, DaemonOptions& options) {
  app.name("mooringd");
  app.description("mooringd: the Mooring agent");
  app.footer(
      "Exit codes: 0 stopped as asked; 1 failed; 2 wrong usage; 78 the configuration has "
      "mistakes.");
  app.set_version_flag("--version", "mooringd " MOORING_VERSION);
  app.add_option("--config",
                 options.config_file,
                 "The configuration; conf.d/*.toml beside it is read as well")
      ->type_name("FILE")
      ->capture_default_str();
  app.add_flag("--check", options.check_only, "Name every mistake of the configuration and exit");
}

namespace {

int run_tool(int argc, const char* const* argv, const Environment& environment) {
  CLI::App app;
  ToolLine line;
  define_tool(app, line);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return finish_parsing(app, error, environment);
  }
  return static_cast<int>(line.chosen(environment, line.arguments));
}

int run_daemon(int argc, const char* const* argv, const Environment& environment) {
  CLI::App app;
  DaemonOptions options;
  define_daemon(app, options);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return finish_parsing(app, error, environment);
  }
  if (!options.check_only) return environment.daemon(options);
  Arguments arguments;
  arguments.config_file = options.config_file;
  return static_cast<int>(config_check(environment, arguments));
}

std::string_view base_name(std::string_view path) {
  return path.substr(path.find_last_of('/') + 1);
}

}  // namespace

int run(int argc, const char* const* argv, const Environment& environment) {
  if (argc > 0 && base_name(argv[0]) == "mooringd") return run_daemon(argc, argv, environment);
  if (argc > 1 && std::string_view(argv[1]) == "mooringd")
    return run_daemon(argc - 1, argv + 1, environment);
  return run_tool(argc, argv, environment);
}

}  // namespace mooring::cli
