#include "cli/completion.h"

#include <set>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace mooring::cli {

namespace {

const ProgramCommand& self_of(const Program& program) {
  return program.commands.front();
}

/// Every option name that is followed by a value, anywhere.
std::set<std::string> valued_names(const Program& program, bool paths_only) {
  std::set<std::string> names;
  for (const ProgramCommand& command : program.commands) {
    for (const ProgramOption& option : command.options) {
      if (!option.value.empty() && (option.is_path() || !paths_only))
        names.insert(option.names.begin(), option.names.end());
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

std::string function_of(const Program& program) {
  std::string name = "_" + program.name;
  for (char& c : name) {
    if (c == '-') c = '_';
  }
  return name;
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

std::string head(const Program& program, std::string_view first) {
  return fmt::format(
      "{}# Printed from the definition of {}'s command line.\n", first, program.name);
}

}  // namespace

std::string bash_completion(const Program& program) {
  std::string text = head(program, "");
  text += fmt::format(
      "{}() {{\n"
      "  local cur=${{COMP_WORDS[COMP_CWORD]}} prev=${{COMP_WORDS[COMP_CWORD - 1]}}\n"
      "  local path= words= files= i\n",
      function_of(program));
  const std::set<std::string> valued = valued_names(program, false);
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
  const std::set<std::string> paths = valued_names(program, true);
  text += "  case $prev in\n";
  if (!paths.empty())
    text += fmt::format("    {}) COMPREPLY=($(compgen -f -- \"$cur\")); return ;;\n",
                        fmt::join(paths, " | "));
  for (const std::string& name : valued) {
    if (!paths.contains(name)) text += fmt::format("    {}) return ;;\n", name);
  }
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
  return text + fmt::format("complete -o filenames -F {} {}\n", function_of(program), program.name);
}

std::string zsh_completion(const Program& program) {
  std::string text = head(program, fmt::format("#compdef {}\n", program.name));
  const std::string global = [&] {
    std::string options;
    for (const ProgramOption& option : self_of(program).options)
      options += zsh_option(option);
    return options;
  }();
  // A function for each command; one with commands below hands on to theirs.
  for (auto command = program.commands.rbegin(); command != program.commands.rend(); ++command) {
    std::string name = function_of(program) + (command->path.empty() ? "" : "_" + command->path);
    for (char& c : name) {
      if (c == ' ' || c == '-') c = '_';
    }
    text += fmt::format("{}() {{\n", name);
    std::string options;
    if (!command->path.empty()) {
      for (const ProgramOption& option : command->options) {
        if (option.names.empty() || option.names.back() != "--help") options += zsh_option(option);
      }
    }
    if (command->below.empty()) {
      text += fmt::format("  _arguments {}{}\n}}\n", options, global);
      continue;
    }
    text += fmt::format(
        "  local context state state_descr line\n  typeset -A opt_args\n"
        "  _arguments -C {}{}'1: :->command' '*:: :->rest'\n  case $state in\n    command)\n      "
        "local -a commands\n      commands=(\n",
        options,
        global);
    std::string calls;
    for (const std::string& below : command->below) {
      const std::string path = command->path.empty() ? below : command->path + " " + below;
      for (const ProgramCommand& each : program.commands) {
        if (each.path == path)
          text += fmt::format("        {}\n", quoted(below + ":" + zsh_message(each.help)));
      }
      std::string function = name + "_" + below;
      for (char& c : function) {
        if (c == '-') c = '_';
      }
      calls += fmt::format("        {}) {} ;;\n", below, function);
    }
    text += fmt::format(
        "      )\n      _describe -t commands command commands\n      ;;\n    rest)\n      case "
        "$words[1] in\n{}      esac\n      ;;\n  esac\n}}\n",
        calls);
  }
  return text + fmt::format("{} \"$@\"\n", function_of(program));
}

std::string fish_completion(const Program& program) {
  std::string text = head(program, "");
  text += fmt::format(
      "function _{0}_at\n  set -l path\n  set -l skip 0\n  for word in (commandline -opc)[2..-1]\n"
      "    if test $skip = 1\n      set skip 0\n    else if contains -- $word {1}\n      set skip "
      "1\n"
      "    else if not string match -q -- '-*' $word\n      set -a path $word\n    end\n  end\n"
      "  test \"$path\" = \"$argv\"\nend\n"
      "complete -c {0} -f\n",
      program.name,
      fmt::join(valued_names(program, false), " "));
  for (const ProgramCommand& command : program.commands) {
    for (const std::string& below : command.below) {
      const std::string path = command.path.empty() ? below : command.path + " " + below;
      for (const ProgramCommand& each : program.commands) {
        if (each.path == path) {
          text += fmt::format("complete -c {} -n {} -a {} -d {}\n",
                              program.name,
                              quoted(fmt::format("_{}_at {}", program.name, command.path)),
                              below,
                              quoted(each.help));
        }
      }
    }
    for (const ProgramOption& option : command.options) {
      const bool is_known =
          !command.path.empty() && !option.names.empty() && option.names.back() == "--help";
      if (!is_known) text += fish_option(program, command, option);
    }
  }
  return text;
}

}  // namespace mooring::cli
