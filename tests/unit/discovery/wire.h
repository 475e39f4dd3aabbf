// Puts a field that nobody knows into each message of an encoding.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace mooring::discovery {

struct Variant {
  std::string path;  // field numbers, "3.6.3.2"; empty: the message itself
  std::string bytes;
};

/// One for everything that may be a message. Where it is text in truth, the field makes it invalid
/// UTF-8.
[[nodiscard]] std::vector<Variant> with_unknown_field(std::string_view bytes);

}  // namespace mooring::discovery
