#include "discovery/yaml.h"

#include <yaml-cpp/yaml.h>

#include <optional>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace mooring::discovery {

namespace {

using Json = nlohmann::json;

// YAML 1.2 §10.3.2, the core schema; the library's tag for a quoted scalar is "!".
Json scalar(const YAML::Node& node) {
  const std::string& text = node.Scalar();
  if (node.Tag() == "!") return text;
  if (text.empty() || text == "~" || text == "null") return nullptr;
  if (text == "true" || text == "false") return text == "true";
  const bool may_be_number = text.find_first_not_of("0123456789+-.eE") == std::string::npos;
  if (!may_be_number) return text;
  Json number = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  return number.is_number() ? number : Json(text);
}

/// Nothing for a document that is too deep or too large.
std::optional<Json> to_json(const YAML::Node& node, int depth, std::size_t& nodes) {
  if (depth > kMaxYamlDepth || ++nodes > kMaxYamlNodes) return std::nullopt;
  if (!node.IsDefined() || node.IsNull()) return Json(nullptr);
  if (node.IsScalar()) return scalar(node);
  Json result = node.IsMap() ? Json::object() : Json::array();
  for (const auto& item : node) {
    auto value = to_json(node.IsMap() ? item.second : item, depth + 1, nodes);
    if (!value) return std::nullopt;
    if (!node.IsMap()) {
      result.push_back(std::move(*value));
    } else if (item.first.IsScalar()) {
      result[item.first.Scalar()] = std::move(*value);
    }
  }
  return result;
}

}  // namespace

Checked<nlohmann::json> parse_yaml(std::string_view text) {
  // The library reports mistakes by exceptions; ours is a value.
  try {
    std::size_t nodes = 0;
    if (auto json = to_json(YAML::Load(std::string(text)), 0, nodes)) return std::move(*json);
    return fail(Diagnostic{"", "the YAML is nested too deep, or names too much by aliases", ""});
  } catch (const YAML::Exception& error) {
    return fail(Diagnostic{fmt::format("{}:{}", error.mark.line + 1, error.mark.column + 1),
                           "the YAML is broken: " + error.msg,
                           ""});
  }
}

}  // namespace mooring::discovery
