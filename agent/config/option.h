// Makes the rows of the schema: option<Format, &Owner::member>(...). Only schema.cc includes this.
#pragma once

#include <fmt/format.h>

#include "config/schema.h"

namespace mooring::config {

template <class Owner, class Field>
Owner owner_of(Field Owner::*);

inline void report(Problems& problems, Place place, const Option& option, Fault fault) {
  problems.add(place, fmt::format("{} {}", option.key, fault.message), std::move(fault.hint));
}

/// "a port", "an address", "true or false".
inline std::string with_article(std::string_view name) {
  if (name.front() == '"' || name.starts_with("true")) return std::string(name);
  const bool is_vowel = std::string_view("aeiou").find(name.front()) != std::string_view::npos;
  return fmt::format("{} {}", is_vowel ? "an" : "a", name);
}

template <class Format>
std::string how_to_write(const Option& option, bool in_list) {
  if constexpr (requires { Format::words(); }) {
    return fmt::format("one of {}", Format::words());
  } else {
    if (Format::kExample.empty()) return {};
    return in_list ? fmt::format("write {} = [{}]", option.key, Format::kExample)
                   : fmt::format("write {} = {}", option.key, Format::kExample);
  }
}

/// True if the value is of the kind that the format reads.
template <class Format>
bool check_kind(const Value& value, const Option& option, Problems& problems, bool in_list) {
  if (value.kind == Format::kKind) return true;
  Fault fault{fmt::format("{} {}, not {}",
                          in_list ? "takes a list, each" : "takes",
                          with_article(Format::kName),
                          describe_kind(value.kind)),
              how_to_write<Format>(option, in_list)};
  report(problems, value.place, option, std::move(fault));
  return false;
}

template <class Format>
void read_list(const Value& value,
               const Option& option,
               Problems& problems,
               typename Format::Type& out) {
  using Item = typename Format::ItemFormat;
  if (value.kind != Value::Kind::list) {
    const std::string written = value.kind == Value::Kind::text      ? quote(value.text)
                                : value.kind == Value::Kind::integer ? std::to_string(value.integer)
                                                                     : std::string(Item::kExample);
    report(problems,
           value.place,
           option,
           {fmt::format("takes a list, not {}", describe_kind(value.kind)),
            fmt::format("write {} = [{}]", option.key, written)});
    return;
  }
  if (value.items.empty() && option.bounds.min > 0) {
    report(problems, value.place, option, {"is an empty list", "name at least one"});
  }
  for (const Value& item : value.items) {
    if (!check_kind<Item>(item, option, problems, true)) continue;
    auto parsed = Item::parse(item, Bounds{});
    if (parsed) {
      out.push_back(std::move(*parsed));
    } else {
      report(problems, item.place, option, std::move(parsed.error()));
    }
  }
}

template <class Format, auto Member>
void read_option(const Value& value, const Option& option, Problems& problems, void* owner) {
  using Owner = decltype(owner_of(Member));
  auto& field = static_cast<Owner*>(owner)->*Member;
  if constexpr (format::AList<Format>) {
    read_list<Format>(value, option, problems, field);
  } else {
    if (!check_kind<Format>(value, option, problems, false)) return;
    auto parsed = Format::parse(value, option.bounds);
    if (parsed) {
      field = std::move(*parsed);
    } else {
      report(problems, value.place, option, std::move(parsed.error()));
    }
  }
}

template <class Format>
std::string type_name() {
  if constexpr (format::AList<Format>) {
    return fmt::format("list: {}", type_name<typename Format::ItemFormat>());
  } else if constexpr (requires { Format::words(); }) {
    return Format::words();
  } else {
    return std::string(Format::kName);
  }
}

/// The default is what a fresh struct holds, so the reference cannot be wrong about it.
template <class Format, auto Member>
std::string default_text() {
  using Owner = decltype(owner_of(Member));
  return Format::show(Owner{}.*Member);
}

template <class Format, auto Member>
constexpr Option option(std::string_view key,
                        std::string_view help,
                        Bounds bounds = {},
                        Presence presence = Presence::optional) {
  Option row{key, help, bounds, presence};
  row.type_name = &type_name<Format>;
  row.default_text = &default_text<Format, Member>;
  row.bounds_are_durations = std::is_same_v<typename Format::Type, Milliseconds>;
  row.read = &read_option<Format, Member>;
  return row;
}

template <class Format, auto Member>
constexpr Option required(std::string_view key, std::string_view help) {
  // A required list has at least one element.
  return option<Format, Member>(
      key, help, Bounds{format::AList<Format> ? 1 : 0, 0}, Presence::required);
}

}  // namespace mooring::config
