#include "core/escape.h"

namespace mooring {

std::string escape_peer_text(std::string_view text, std::size_t max_bytes) {
  constexpr char kHex[] = "0123456789abcdef";
  const bool cut = text.size() > max_bytes;
  std::string out;
  out.reserve(text.size());
  for (const char c : text.substr(0, max_bytes)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte < 0x7f && c != '\\' && c != '"') {
      out += c;
    } else {
      out += "\\x";
      out += kHex[byte >> 4];
      out += kHex[byte & 15];
    }
  }
  if (cut) out += "...";
  return out;
}

}  // namespace mooring
