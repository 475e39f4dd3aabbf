// Reading JSON that somebody else wrote: what is not there, or is something else, is null.
#pragma once

#include <string>

#include <nlohmann/json.hpp>

namespace mooring::discovery {

/// Null too where `value` is no object.
[[nodiscard]] inline const nlohmann::json& at(const nlohmann::json& value, const char* key) {
  static const nlohmann::json nothing;
  if (!value.is_object()) return nothing;
  const auto found = value.find(key);
  return found == value.end() ? nothing : *found;
}

/// Empty where there is no text.
[[nodiscard]] inline std::string text_at(const nlohmann::json& value, const char* key) {
  const nlohmann::json& text = at(value, key);
  return text.is_string() ? text.get<std::string>() : std::string();
}

}  // namespace mooring::discovery
