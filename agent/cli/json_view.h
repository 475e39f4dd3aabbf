// Reads the agent's answers without trusting their shape: an older or newer agent may lack a key.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

#include "cli/text_table.h"

namespace mooring::cli {

/// The member, or null.
[[nodiscard]] inline const nlohmann::json& member(const nlohmann::json& object,
                                                  std::string_view key) {
  static const nlohmann::json nothing;
  const auto found = object.is_object() ? object.find(key) : object.end();
  return object.is_object() && found != object.end() ? *found : nothing;
}

/// A string made printable, a number as text, empty for anything else.
[[nodiscard]] inline std::string text_of(const nlohmann::json& object, std::string_view key) {
  const nlohmann::json& value = member(object, key);
  if (value.is_string()) return printable(value.get_ref<const std::string&>());
  return value.is_number_integer() ? value.dump() : std::string();
}

[[nodiscard]] inline std::int64_t number_of(const nlohmann::json& object, std::string_view key) {
  const nlohmann::json& value = member(object, key);
  return value.is_number_integer() ? value.get<std::int64_t>() : 0;
}

}  // namespace mooring::cli
