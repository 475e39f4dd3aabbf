// A look at a TOML text before toml++ gets it, at what the library of Debian 12 (3.3.0) does not
// survive. Agrees with the grammar up to the first syntax error, where the library stops. Pure.
#pragma once

#include <cstddef>
#include <string_view>

namespace mooring {

struct TomlScan {
  /// Outside of strings and comments. The library nests a table for each segment of a dotted key
  /// without a bound and recurses over them: "a.a.a..." would exhaust the stack.
  std::size_t dots = 0;
  /// The first byte beyond ASCII that is neither in a comment nor in a string of one line, or npos:
  /// there the library's test for white space runs into a branch that it declared unreachable.
  std::size_t foreign = std::string_view::npos;
};
[[nodiscard]] TomlScan scan_toml(std::string_view text) noexcept;

struct TextPlace {
  std::size_t line = 1;
  std::size_t column = 1;  // counts characters, not bytes
};
[[nodiscard]] TextPlace text_place(std::string_view text, std::size_t offset) noexcept;

}  // namespace mooring
