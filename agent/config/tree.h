// A TOML document as plain values with their places, so that the schema knows nothing of the TOML
// library.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"

namespace mooring::config {

/// Where something is written: index of the file in the list given to parse(), line and column
/// from 1.
struct Place {
  std::uint32_t source = 0;
  std::uint32_t line = 1;
  std::uint32_t column = 1;

  friend auto operator<=>(const Place&, const Place&) = default;
};

struct Member;

struct Value {
  enum class Kind : std::uint8_t { text, integer, boolean, decimal, date, list, table };

  Kind kind = Kind::table;
  Place place;
  std::string text;             // Kind::text
  std::int64_t integer = 0;     // Kind::integer
  bool boolean = false;         // Kind::boolean
  std::vector<Value> items;     // Kind::list
  std::vector<Member> members;  // Kind::table, in the order of the text
};

struct Member {
  std::string key;
  Place place;
  Value value;
};

/// "a string", "an integer": for messages.
[[nodiscard]] const char* describe_kind(Value::Kind kind) noexcept;

struct SyntaxError {
  Place place;
  std::string message;
};

/// Parses one document; `source` becomes the source index of every place. The library stops at its
/// first error.
[[nodiscard]] tl::expected<Value, SyntaxError> read_toml(std::string_view text,
                                                         std::uint32_t source);

}  // namespace mooring::config
