// The commands that are scripts in /usr/libexec/mooring, so that they also work on a host without
// Mooring. This process becomes the script.
#include <ostream>

#include <fmt/format.h>
#include <fmt/ostream.h>

#include "cli/commands.h"

namespace mooring::cli {

namespace {

ExitCode become_script(const Environment& environment,
                       const Arguments& arguments,
                       std::string_view name) {
  std::vector<std::string> words;
  if (arguments.as_json) words.emplace_back("--json");
  if (arguments.is_strict) words.emplace_back("--strict");
  const auto forward = [&words](const char* option, const std::string& value) {
    if (!value.empty()) words.insert(words.end(), {option, value});
  };
  forward("--expect", arguments.expect);
  forward("--root", arguments.root);
  words.insert(words.end(), arguments.rest.begin(), arguments.rest.end());
  const std::string path = fmt::format("{}{}", kScriptFolder, name);
  const Error error = environment.exec(path, words);
  if (error.code == Errc::not_found) {
    fmt::print(*environment.err, "mooring: {} is not installed\n", path);
  } else {
    fmt::print(*environment.err, "mooring: {}: {}\n", path, describe(error));
  }
  return ExitCode::unavailable;
}

}  // namespace

ExitCode preflight(const Environment& environment, const Arguments& arguments) {
  return become_script(environment, arguments, "preflight");
}

ExitCode verify_host(const Environment& environment, const Arguments& arguments) {
  return become_script(environment, arguments, "verify-host");
}

}  // namespace mooring::cli
