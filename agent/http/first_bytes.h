// Tells HTTP in plain text from everything else by a connection's first bytes. Pure.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/buffer.h"

namespace mooring::http {

/// First bytes looked at, at most. A request line that is longer is not taken for one.
inline constexpr std::size_t kMaxRequestLineBytes = 8 * 1024;

enum class FirstBytes : std::uint8_t {
  need_more,  // nothing speaks against HTTP so far
  other,      // never HTTP, whatever follows
  http10,     // a whole request line (RFC 9112 §3)
  http11,
  http2,  // a whole preface (RFC 9113 §3.4)
};

/// `bytes` is everything received so far, from the first byte on.
[[nodiscard]] FirstBytes inspect_first_bytes(Bytes bytes) noexcept;

}  // namespace mooring::http
