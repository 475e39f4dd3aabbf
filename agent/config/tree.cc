#include "config/tree.h"

#include <algorithm>
#include <tuple>

// Header-only and without exceptions: the distribution's library is built with them, under other
// symbol names, and its nesting bound (256) is more than this format can use.
#undef TOML_HEADER_ONLY
#undef TOML_SHARED_LIB
#define TOML_HEADER_ONLY 1
#define TOML_EXCEPTIONS 0
#define TOML_ENABLE_FORMATTERS 0
#define TOML_MAX_NESTED_VALUES 8
#include <toml++/toml.h>

#include "core/toml_scan.h"

namespace mooring::config {

namespace {

// This format needs one dot per nested section.
constexpr std::size_t kMaxDots = 1000;

Place place_at(std::string_view text, std::size_t offset, std::uint32_t source) {
  const TextPlace at = text_place(text, offset);
  return {source, static_cast<std::uint32_t>(at.line), static_cast<std::uint32_t>(at.column)};
}

Place place_of(const toml::source_position& position, std::uint32_t source) {
  return Place{source,
               std::max<std::uint32_t>(position.line, 1),
               std::max<std::uint32_t>(position.column, 1)};
}

Value convert(const toml::node& node, std::uint32_t source);

std::vector<Member> convert_members(const toml::table& table, std::uint32_t source) {
  std::vector<Member> members;
  members.reserve(table.size());
  for (const auto& [key, node] : table) {
    members.push_back(
        {std::string(key.str()), place_of(key.source().begin, source), convert(node, source)});
  }
  std::sort(members.begin(), members.end(), [](const Member& a, const Member& b) {
    return std::tie(a.place, a.key) < std::tie(b.place, b.key);
  });
  return members;
}

Value convert(const toml::node& node, std::uint32_t source) {
  Value value;
  value.place = place_of(node.source().begin, source);
  if (const auto* text = node.as_string()) {
    value.kind = Value::Kind::text;
    value.text = text->get();
  } else if (const auto* integer = node.as_integer()) {
    value.kind = Value::Kind::integer;
    value.integer = integer->get();
  } else if (const auto* boolean = node.as_boolean()) {
    value.kind = Value::Kind::boolean;
    value.boolean = boolean->get();
  } else if (const auto* list = node.as_array()) {
    value.kind = Value::Kind::list;
    for (const toml::node& item : *list)
      value.items.push_back(convert(item, source));
  } else if (const auto* table = node.as_table()) {
    value.members = convert_members(*table, source);
  } else {
    value.kind = node.is_floating_point() ? Value::Kind::decimal : Value::Kind::date;
  }
  return value;
}

}  // namespace

const char* describe_kind(Value::Kind kind) noexcept {
  switch (kind) {
    case Value::Kind::text:
      return "a string";
    case Value::Kind::integer:
      return "an integer";
    case Value::Kind::boolean:
      return "a boolean";
    case Value::Kind::decimal:
      return "a decimal number";
    case Value::Kind::date:
      return "a date or time";
    case Value::Kind::list:
      return "a list";
    case Value::Kind::table:
      return "a table";
  }
  return "invalid";
}

tl::expected<Value, SyntaxError> read_toml(std::string_view text, std::uint32_t source) {
  const TomlScan scan = scan_toml(text);
  if (scan.dots > kMaxDots) {
    return tl::unexpected(SyntaxError{Place{source, 1, 1}, "too many dotted keys"});
  }
  if (scan.problem != nullptr) {
    return tl::unexpected(SyntaxError{place_at(text, scan.offset, source), scan.problem});
  }
  const toml::parse_result result = toml::parse(text);
  if (!result) {
    return tl::unexpected(SyntaxError{place_of(result.error().source().begin, source),
                                      std::string(result.error().description())});
  }
  return convert(result.table(), source);
}

}  // namespace mooring::config
