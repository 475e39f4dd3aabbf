// Text that a peer chose, made safe for one line of a log.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace mooring {

/// Printable ASCII except backslash and quote as it is, everything else as \xHH; cut at `max_bytes`
/// of input with "...".
[[nodiscard]] std::string escape_peer_text(std::string_view text, std::size_t max_bytes = 256);

}  // namespace mooring
