// Reads and validates the static configuration. Blocking; control thread and commands only.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "config/model.h"
#include "core/result.h"

namespace mooring::config {

/// Largest configuration file read, in bytes; 10,000 upstreams of 100 bytes fit.
inline constexpr std::size_t kMaxFileBytes = 1024 * 1024;

struct SourceText {
  std::string path;
  std::string text;
};

/// The main file and `conf.d/*.toml` beside it, in name order. Every problem that can be found is
/// in the list, each with "file:line:column" as its path and the nearest valid key as its hint.
[[nodiscard]] tl::expected<AgentConfig, std::vector<Diagnostic>> load(const std::string& main_file);

/// The same with these texts in place of, or beside, the files that are there: what a command is
/// going to write. The main file may be one of them.
[[nodiscard]] tl::expected<AgentConfig, std::vector<Diagnostic>> load_with(
    const std::vector<SourceText>& overlay, const std::string& main_file);

/// The pure part of load(): no file is touched, except that nothing is checked about the files
/// named in the text.
[[nodiscard]] tl::expected<AgentConfig, std::vector<Diagnostic>> parse(
    const std::vector<SourceText>& sources);

}  // namespace mooring::config
