#include "cli/completion.h"

#include <algorithm>
#include <set>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace mooring::cli {

namespace {

const ProgramCommand& self_of(const Program& program) {
  return program.commands.front();
}

/// Every option name that is followed by a value, anywhere.
std::set<std::string> valued_names(const Program& program) {
  std::set<std::string> names;
  for (const ProgramCommand& command : program.commands) {
    for (const ProgramOption& option : command.options) {
      if (!option.value.empty()) names.insert(option.names.begin(), option.names.end());
    }
  }
  return names;
}

/// What may stand after the command, its own options first; the program's are known everywhere.
std::vector<std::string> words_after(const Program& program, const ProgramCommand& command) {
  std::vector<std::string> words = command.below;
  std::set<std::string> seen;
  for (const ProgramCommand* source : {&command, &self_of(program)}) {
    for (const ProgramOption& option : source->options) {
      if (option.names.empty())
        words.insert(words.end(), option.choices.begin(), option.choices.end());
      for (const std::string& name : option.names) {
        if (seen.insert(name).second) words.push_back(name);
      }
    }
  }
  return words;
}

bool takes_file(const ProgramCommand& command) {
  for (const ProgramOption& option : command.options) {
    if (option.names.empty() && option.is_path()) return true;
  }
  return false;
}

/// In single quotes, for any of the shells.
std::string quoted(std::string_view text) {
  std::string out = "'";
  for (const char c : text)
    out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

std::string zsh_message(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '[' || c == ']' || c == ':') out += '\\';
    out += c;
  }
  return out;
}

/// One argument of _arguments for each name of the option.
std::string zsh_option(const ProgramOption& option) {
  const std::string action = option.is_path() ? "_files"
                             : option.choices.empty()
                                 ? " "
                                 : fmt::format("({})", fmt::join(option.choices, " "));
  if (option.names.empty()) return quoted(fmt::format("1:{}:{}", option.value, action)) + " ";
  std::string text;
  for (const std::string& name : option.names) {
    std::string word = fmt::format("{}[{}]", name, zsh_message(option.help));
    if (!option.value.empty()) word += fmt::format(":{}:{}", option.value, action);
    text += quoted(word) + " ";
  }
  return text;
}

std::string fish_option(const Program& program,
                        const ProgramCommand& command,
                        const ProgramOption& option) {
  const std::string at =
      command.path.empty() && !self_of(program).below.empty()
          ? ""
          : fmt::format(" -n {}", quoted(fmt::format("_{}_at {}", program.name, command.path)));
  std::string line = fmt::format("complete -c {}{}", program.name, at);
  if (option.names.empty()) {
    if (option.is_path()) return line + " -F\n";
    return line +
           fmt::format(" -a {}\n", quoted(fmt::format("{}", fmt::join(option.choices, " "))));
  }
  for (const std::string& name : option.names)
    line += name.starts_with("--") ? " -l " + name.substr(2) : " -s " + name.substr(1);
  if (!option.value.empty()) line += option.is_path() ? " -r -F" : " -x";
  if (!option.choices.empty())
    line += fmt::format(" -a {}", quoted(fmt::format("{}", fmt::join(option.choices, " "))));
  return line + fmt::format(" -d {}\n", quoted(option.help));
}

constexpr const char* kFishPath =
    "function _{0}_at\n"
    "  set -l path\n"
    "  set -l skip 0\n"
    "  for word in (commandline -opc)[2..-1]\n"
    "    if test $skip = 1\n"
    "      set skip 0\n"
    "    else if contains -- $word {1}\n"
    "      set skip 1\n"
    "    else if not string match -q -- '-*' $word\n"
    "      set -a path $word\n"
    "    end\n"
    "  end\n"
    "  test \"$path\" = \"$argv\"\n"
    "end\n"
    "complete -c {0} -f\n";

bool is_help(const ProgramOption& option) {
  return !option.names.empty() && option.names.back() == "--help";
}

const ProgramCommand& below_of(const Program& program,
                               const ProgramCommand& command,
                               const std::string& below) {
  const std::string path = command.path.empty() ? below : fmt::format("{} {}", command.path, below);
  return *std::find_if(program.commands.begin(),
                       program.commands.end(),
                       [&](const ProgramCommand& each) { return each.path == path; });
}

std::string function_of(const Program& program, const std::string& path) {
  std::string name = program.name + (path.empty() ? "" : "_") + path;
  for (char& c : name) {
    if (c == ' ' || c == '-') c = '_';
  }
  return "_" + name;
}

std::string zsh_options(const ProgramCommand& command, bool with_help) {
  std::string options;
  for (const ProgramOption& option : command.options) {
    if (with_help || !is_help(option)) options += zsh_option(option);
  }
  return options;
}

/// The body of a command that has others below it.
std::string zsh_dispatch(const Program& program,
                         const ProgramCommand& command,
                         const std::string& options) {
  std::string names;
  std::string calls;
  for (const std::string& below : command.below) {
    const ProgramCommand& each = below_of(program, command, below);
    names +=
        fmt::format("        {}\n", quoted(fmt::format("{}:{}", below, zsh_message(each.help))));
    calls += fmt::format("        {}) {} ;;\n", below, function_of(program, each.path));
  }
  return fmt::format(
      "  local context state state_descr line\n"
      "  typeset -A opt_args\n"
      "  _arguments -C {}'1: :->command' '*:: :->rest'\n"
      "  case $state in\n"
      "    command)\n"
      "      local -a commands\n"
      "      commands=(\n"
      "{}"
      "      )\n"
      "      _describe -t commands command commands\n"
      "      ;;\n"
      "    rest)\n"
      "      case $words[1] in\n"
      "{}"
      "      esac\n"
      "      ;;\n"
      "  esac\n",
      options,
      names,
      calls);
}

std::string head(const Program& program, std::string_view first) {
  return fmt::format(
      "{}# Printed from the definition of {}'s command line.\n", first, program.name);
}

/// What may follow each option that takes a value.
std::string bash_values(const Program& program) {
  std::set<std::string> seen;
  std::string text;
  for (const ProgramCommand& command : program.commands) {
    for (const ProgramOption& option : command.options) {
      if (option.value.empty() || option.names.empty() || !seen.insert(option.names.back()).second)
        continue;
      std::string offer;
      if (option.is_path()) offer = "COMPREPLY=($(compgen -f -- \"$cur\")); ";
      if (!option.choices.empty()) {
        offer = fmt::format("COMPREPLY=($(compgen -W \"{}\" -- \"$cur\")); ",
                            fmt::join(option.choices, " "));
      }
      text += fmt::format("    {}) {}return ;;\n", fmt::join(option.names, " | "), offer);
    }
  }
  return text;
}

}  // namespace

std::string bash_completion(const Program& program) {
  std::string text = head(program, "");
  text += fmt::format(
      "{}() {{\n"
      "  local cur=${{COMP_WORDS[COMP_CWORD]}} prev=${{COMP_WORDS[COMP_CWORD - 1]}}\n"
      "  local path= words= files= i\n",
      function_of(program, ""));
  const std::set<std::string> valued = valued_names(program);
  text += "  for ((i = 1; i < COMP_CWORD; i++)); do\n    case \"$path ${COMP_WORDS[i]}\" in\n";
  if (!valued.empty())
    text += fmt::format("      *\" \"{}) ((i++)) ;;\n", fmt::join(valued, " | *\" \""));
  for (const ProgramCommand& command : program.commands) {
    if (command.path.empty()) continue;
    const bool is_nested = command.path.find(' ') != std::string::npos;
    text += fmt::format(
        "      \"{}{}\") path=\"{}\" ;;\n", is_nested ? "" : " ", command.path, command.path);
  }
  text += "    esac\n  done\n";
  text += "  case $prev in\n" + bash_values(program);
  text += "  esac\n  case $path in\n";
  for (const ProgramCommand& command : program.commands) {
    text += fmt::format("    \"{}\") words=\"{}\"{} ;;\n",
                        command.path,
                        fmt::join(words_after(program, command), " "),
                        takes_file(command) ? " files=1" : "");
  }
  text +=
      "  esac\n"
      "  COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
      "  if [ -n \"$files\" ]; then COMPREPLY+=($(compgen -f -- \"$cur\")); fi\n"
      "}\n";
  return text +
         fmt::format("complete -o filenames -F {} {}\n", function_of(program, ""), program.name);
}

std::string zsh_completion(const Program& program) {
  std::string text = head(program, fmt::format("#compdef {}\n", program.name));
  const std::string global = zsh_options(self_of(program), true);
  for (const ProgramCommand& command : program.commands) {
    const std::string own = command.path.empty() ? "" : zsh_options(command, false);
    text += fmt::format("{}() {{\n", function_of(program, command.path));
    text += command.below.empty() ? fmt::format("  _arguments {}{}\n", own, global)
                                  : zsh_dispatch(program, command, own + global);
    text += "}\n";
  }
  return text + fmt::format("{} \"$@\"\n", function_of(program, ""));
}

std::string fish_completion(const Program& program) {
  std::string text = head(program, "");
  text += fmt::format(kFishPath, program.name, fmt::join(valued_names(program), " "));
  for (const ProgramCommand& command : program.commands) {
    for (const std::string& below : command.below) {
      text += fmt::format("complete -c {} -n {} -a {} -d {}\n",
                          program.name,
                          quoted(fmt::format("_{}_at {}", program.name, command.path)),
                          below,
                          quoted(below_of(program, command, below).help));
    }
    for (const ProgramOption& option : command.options) {
      if (command.path.empty() || !is_help(option)) text += fish_option(program, command, option);
    }
  }
  return text;
}

}  // namespace mooring::cli
