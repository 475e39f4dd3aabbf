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
  /// The first thing that the library asserts cannot be there, or that runs into a branch that it
  /// declared unreachable: a text for people, and its offset. Null: there is none.
  const char* problem = nullptr;
  std::size_t offset = 0;
};
[[nodiscard]] TomlScan scan_toml(std::string_view text);

struct TextPlace {
  std::size_t line = 1;
  std::size_t column = 1;  // counts characters, not bytes
};
[[nodiscard]] TextPlace text_place(std::string_view text, std::size_t offset) noexcept;

}  // namespace mooring
