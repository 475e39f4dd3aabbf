#include "config/load.h"

#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include <fmt/format.h>

#include "config/formats.h"
#include "core/ascii.h"
#include "core/file.h"

namespace mooring::config {

namespace {

namespace fs = std::filesystem;

Diagnostic unreadable(const std::string& path, const Error& error) {
  if (error.code == Errc::too_large) {
    return {path,
            fmt::format("is larger than {} bytes", kMaxFileBytes),
            "split it into files of conf.d"};
  }
  std::string hint = error.code == Errc::permission
                         ? "the agent runs as user mooring, which must be able to read it"
                     : error.code == Errc::not_found ? "name another file with --config FILE"
                                                     : "";
  return {path, "cannot be read: " + describe(error), std::move(hint)};
}

/// *.toml of the folder in name order. A folder that does not exist is an empty one.
tl::expected<std::vector<std::string>, Diagnostic> list_folder(const fs::path& folder) {
  std::error_code error;
  if (!fs::exists(folder, error) && !error) return {};
  std::vector<std::string> files;
  fs::directory_iterator entry(folder, error);
  for (; !error && entry != fs::directory_iterator(); entry.increment(error)) {
    const std::string name = entry->path().filename();
    if (entry->path().extension() == ".toml" && name.front() != '.') files.push_back(entry->path());
  }
  if (error) {
    return fail(Diagnostic{folder,
                           "cannot be listed: " + error.message(),
                           "the agent runs as user mooring, which must be able to read it"});
  }
  std::sort(files.begin(), files.end());
  return files;
}

std::string kernel_host_name() {
  char name[256] = {};
  return ::gethostname(name, sizeof name - 1) == 0 && name[0] != '\0' ? name : "localhost";
}

}  // namespace

tl::expected<AgentConfig, std::vector<Diagnostic>> load(const std::string& main_file) {
  return load_with({}, main_file);
}

tl::expected<AgentConfig, std::vector<Diagnostic>> load_with(const std::vector<SourceText>& overlay,
                                                             const std::string& main_file) {
  std::vector<Diagnostic> problems;
  std::vector<std::string> paths{main_file};
  if (const auto files = list_folder(fs::path(main_file).parent_path() / "conf.d")) {
    paths.insert(paths.end(), files->begin(), files->end());
  } else {
    problems.push_back(files.error());
  }
  for (const SourceText& text : overlay) {
    if (std::find(paths.begin(), paths.end(), text.path) == paths.end()) paths.push_back(text.path);
  }
  std::sort(paths.begin() + 1, paths.end());
  std::vector<SourceText> sources;
  for (const std::string& path : paths) {
    const auto other = std::find_if(
        overlay.begin(), overlay.end(), [&](const SourceText& text) { return text.path == path; });
    if (other != overlay.end()) {
      sources.push_back(*other);
    } else if (auto text = read_file(path, kMaxFileBytes)) {
      sources.push_back({path, std::move(*text)});
    } else {
      problems.push_back(unreadable(path, text.error()));
    }
  }
  // A file that could not be read may hold what the others lack; their own problems would be
  // guesses.
  if (!problems.empty()) return tl::unexpected(std::move(problems));
  auto config = parse(sources);
  if (!config) return config;
  if (config->host.name.empty()) config->host.name = kernel_host_name();
  auto& plane = config->control_plane;
  if (!plane || !plane->name.empty()) return config;
  std::string& name = plane->name;
  name = lower_ascii(config->host.name);
  if (is_resource_name(name)) return config;
  problems.push_back({main_file,
                      fmt::format("host name {} is no name of a Dataplane", quote(name)),
                      "set name in [control_plane]"});
  return tl::unexpected(std::move(problems));
}

}  // namespace mooring::config
