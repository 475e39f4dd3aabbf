// Base64 (RFC 4648 §4 and §5).
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace mooring {

/// With padding.
[[nodiscard]] std::string encode_base64(std::string_view bytes);
/// Both alphabets, with or without padding; white space is skipped, as YAML folds long lines. None
/// for anything else.
[[nodiscard]] std::optional<std::string> decode_base64(std::string_view text);

}  // namespace mooring
