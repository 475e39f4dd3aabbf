// `mooring config explain`: works without the agent.
#include <ostream>

#include <fmt/format.h>
#include <fmt/ostream.h>

#include "cli/commands.h"
#include "core/file.h"
#include "discovery/explain.h"

namespace mooring::cli {

namespace {

constexpr std::size_t kMaxRecordingBytes = 64u << 20;

}  // namespace

ExitCode config_explain(const Environment& environment, const Arguments& arguments) {
  const Result<std::string> content = read_file(arguments.recording, kMaxRecordingBytes);
  if (!content) {
    fmt::print(*environment.err, "{}: {}\n", arguments.recording, describe(content.error()));
    return content.error().code == Errc::permission ? ExitCode::permission : ExitCode::failed;
  }
  const Checked<discovery::Explanation> explained = discovery::explain(*content);
  if (!explained) {
    Diagnostic problem = explained.error();
    problem.path = arguments.recording;
    fmt::print(*environment.err, "{}\n", describe(problem));
    return ExitCode::failed;
  }
  fmt::print(*environment.out, "{}", explained->text);
  return explained->has_rejected ? ExitCode::failed : ExitCode::ok;
}

}  // namespace mooring::cli
