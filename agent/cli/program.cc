#include "cli/program.h"

#include <algorithm>

#include <CLI/CLI.hpp>

#include "cli/definition.h"
#include "transparent-proxy/helper/options.h"

namespace mooring::cli {

namespace {

constexpr std::string_view kNotesHead = "Exit codes: ";

/// "debug", "info" of "TEXT:{debug,info}".
std::vector<std::string> choices_of(const std::string& type) {
  const std::size_t open = type.find('{');
  const std::size_t close = type.find('}');
  if (open == std::string::npos || close == std::string::npos) return {};
  return CLI::detail::split(type.substr(open + 1, close - open - 1), ',');
}

ProgramOption to_option(const CLI::Option& from) {
  ProgramOption option;
  for (const std::string& name : from.get_snames())
    option.names.push_back("-" + name);
  for (const std::string& name : from.get_lnames())
    option.names.push_back("--" + name);
  const std::string type = from.get_type_name();
  if (from.get_positional()) {
    option.value = from.get_name();
  } else if (from.get_items_expected_max() > 0) {
    option.value = type.substr(0, type.find(':'));
  }
  option.choices = choices_of(type);
  option.fallback = from.get_default_str();
  option.help = from.get_description();
  return option;
}

void add_command(const CLI::App& app, const std::string& path, Program& program) {
  ProgramCommand command{path, app.get_description(), {}, {}};
  for (const CLI::Option* option : app.get_options())
    command.options.push_back(to_option(*option));
  const auto below = app.get_subcommands([](const CLI::App*) { return true; });
  for (const CLI::App* sub : below)
    command.below.push_back(sub->get_name());
  program.commands.push_back(std::move(command));
  for (const CLI::App* sub : below)
    add_command(*sub, path.empty() ? sub->get_name() : path + " " + sub->get_name(), program);
}

Program to_program(const CLI::App& app, const std::string& section) {
  // The description is "name: what it is".
  const std::string about = app.get_description();
  Program program{app.get_name(), section, about.substr(about.find(' ') + 1), app.get_footer(), {}};
  if (program.notes.starts_with(kNotesHead)) program.notes.erase(0, kNotesHead.size());
  std::replace(program.notes.begin(), program.notes.end(), '\n', ' ');
  add_command(app, "", program);
  return program;
}

Program helper_program() {
  Program program{"mooring-net",
                  "8",
                  "programs the capture of connections for mooringd",
                  transparent_proxy::kUsageNotes,
                  {{}}};
  for (const transparent_proxy::OptionRow& row : transparent_proxy::option_rows()) {
    program.commands.front().options.push_back(
        {{std::string("--") + row.name}, row.value, {}, row.default_text(), row.help});
  }
  return program;
}

}  // namespace

std::vector<Program> programs() {
  CLI::App tool;
  ToolLine line;
  define_tool(tool, line);
  CLI::App daemon;
  DaemonOptions options;
  define_daemon(daemon, options);
  return {to_program(tool, "1"), to_program(daemon, "8"), helper_program()};
}

}  // namespace mooring::cli
