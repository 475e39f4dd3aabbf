// What the command lines of mooring and mooringd take, for parsing and for what is printed from it:
// man pages and completions.
#pragma once

#include <CLI/App.hpp>

#include "cli/commands.h"

namespace mooring::cli {

struct ToolLine {
  Arguments arguments;
  Command chosen = nullptr;  // set when the line was understood
};

/// `line` and `options` outlive the app.
void define_tool(CLI::App& app, ToolLine& line);
void define_daemon(CLI::App& app, DaemonOptions& options);

}  // namespace mooring::cli
