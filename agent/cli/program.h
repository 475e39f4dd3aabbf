// A command line as values: what man pages and completions are printed from. Only mooring-docs, a
// tool of the build, uses it.
#pragma once

#include <string>
#include <vector>

namespace mooring::cli {

struct ProgramOption {
  std::vector<std::string> names;  // "-n", "--count"; empty: an argument by position
  std::string value;               // "FILE"; empty: a flag
  std::vector<std::string> choices;
  std::string fallback;  // what holds without it
  std::string help;

  [[nodiscard]] bool is_path() const { return value == "FILE" || value == "SOCKET"; }
};

struct ProgramCommand {
  std::string path;  // "capture on"; empty: the program itself
  std::string help;
  std::vector<ProgramOption> options;
  std::vector<std::string> below;  // names of the commands that may follow
};

struct Program {
  std::string name;
  std::string section;  // of the manual: "1" or "8"
  std::string summary;
  std::string notes;                     // exit codes, needs
  std::vector<ProgramCommand> commands;  // the first is the program itself
};

/// mooring, mooringd and mooring-net, from what parses their command lines.
[[nodiscard]] std::vector<Program> programs();

}  // namespace mooring::cli
