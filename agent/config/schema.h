// The settings of agent.toml as data: what parse() walks, and what the reference is printed from.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "config/formats.h"
#include "config/model.h"
#include "config/problems.h"

namespace mooring::config {

enum class Presence : std::uint8_t {
  optional,
  required,
  required_alone,  // without [control_plane]
  required_without_bootstrap,
};

struct Option {
  std::string_view key;
  std::string_view help;
  Bounds bounds;  // as the format reads them; both 0: none
  Presence presence = Presence::optional;

  // Filled by the option<>() that makes it.
  std::string (*type_name)() = nullptr;
  /// As it would be written, without quotes; empty where there is none.
  std::string (*default_text)() = nullptr;
  bool bounds_are_durations = false;
  /// Stores the value into `owner`, the struct that the section belongs to, or reports why not.
  void (*read)(const Value& value, const Option& option, Problems& problems, void* owner) = nullptr;
};

struct Section {
  std::string_view name;  // "service", "capture.on_agent_death"
  bool is_list;           // [[name]]: every table is one more element
  std::string_view help;
  std::span<const Option> options;
  /// The struct that the options write to; a list section appends one.
  void* (*open)(AgentConfig& config);
  /// For a section whose keys are chosen by the admin; null elsewhere.
  void (*read_any)(const Member& member, Problems& problems, void* owner) = nullptr;
};

/// All sections, in the order of the reference.
[[nodiscard]] std::span<const Section> sections() noexcept;
[[nodiscard]] const Section* find_section(std::string_view name) noexcept;
[[nodiscard]] const Option* find_option(const Section& section, std::string_view key) noexcept;

}  // namespace mooring::config
