// YAML of a peer as JSON values.
#pragma once

#include <cstddef>
#include <string_view>

#include <nlohmann/json_fwd.hpp>

#include "core/result.h"

namespace mooring::discovery {

/// What a bootstrap with the largest Dataplane needs is a tenth of it. An alias costs a word and
/// stands for all that it names, so nodes are counted, not bytes.
inline constexpr std::size_t kMaxYamlNodes = 100'000;
inline constexpr int kMaxYamlDepth = 64;

/// The first document. Scalars that are quoted are text; plain ones are null, true, false, a number
/// of JSON's grammar, or text. The diagnostic's path is "line:column".
[[nodiscard]] Checked<nlohmann::json> parse_yaml(std::string_view text);

}  // namespace mooring::discovery
