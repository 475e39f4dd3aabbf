// mooring-docs FOLDER: writes the manual pages and the shells' completions, from the definitions of
// the command lines and of the configuration. A tool of the build, not part of the packages.
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <iostream>

#include <fmt/chrono.h>

#include "cli/completion.h"
#include "cli/man_page.h"

namespace {

namespace fs = std::filesystem;

/// The day of SOURCE_DATE_EPOCH, so that the same sources give the same pages.
std::string date_of_sources() {
  const char* epoch = std::getenv("SOURCE_DATE_EPOCH");  // NOLINT(concurrency-mt-unsafe)
  const std::time_t when = epoch == nullptr ? 0 : std::strtoll(epoch, nullptr, 10);
  return fmt::format("{:%Y-%m-%d}", fmt::gmtime(when));
}

bool write(const fs::path& path, const std::string& text) {
  fs::create_directories(path.parent_path());
  std::ofstream file(path);
  file << text;
  file.close();
  if (!file) std::cerr << "mooring-docs: cannot write " << path << "\n";
  return static_cast<bool>(file);
}

bool write_all(const fs::path& folder) {
  using namespace mooring::cli;
  const std::string date = date_of_sources();
  bool is_done = write(folder / "man/agent.toml.5", agent_toml_page(date)) &&
                 write(folder / "man/capture.toml.5", capture_toml_page(date));
  for (const Program& program : programs()) {
    is_done = is_done && write(folder / "man" / (program.name + "." + program.section),
                               program_page(program, date));
    // mooring-net is in nobody's PATH.
    if (program.name == "mooring-net") continue;
    is_done = is_done && write(folder / "bash" / program.name, bash_completion(program)) &&
              write(folder / "zsh" / ("_" + program.name), zsh_completion(program)) &&
              write(folder / "fish" / (program.name + ".fish"), fish_completion(program));
  }
  return is_done;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: mooring-docs FOLDER\n";
    return 2;
  }
  return write_all(argv[1]) ? 0 : 1;
}
