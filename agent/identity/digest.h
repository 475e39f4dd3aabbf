// SHA-256, for those who may not see OpenSSL.
#pragma once

#include <string>
#include <string_view>

namespace mooring::identity {

/// 64 hexadecimal digits.
[[nodiscard]] std::string sha256_hex(std::string_view bytes);

}  // namespace mooring::identity
