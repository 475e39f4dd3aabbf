#include "identity/name_matcher.h"

#include <algorithm>

#include "core/ascii.h"

namespace mooring::identity {

namespace {

bool equal_without_case(std::string_view a, std::string_view b) noexcept {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) {
    return lower_ascii(x) == lower_ascii(y);
  });
}

std::string_view after_first_label(std::string_view name) noexcept {
  const std::size_t dot = name.find('.');
  return dot == std::string_view::npos ? std::string_view() : name.substr(dot);
}

bool matches_dns_name(std::string_view wanted, std::string_view certified) noexcept {
  if (equal_without_case(wanted, certified)) return true;
  const std::string_view domain = after_first_label(wanted);
  return certified.starts_with("*.") && domain.size() > 1 && domain.size() < wanted.size() &&
         equal_without_case(domain, certified.substr(1));
}

bool matches_text(const NameMatcher& matcher, std::string_view text) {
  const std::string_view wanted = matcher.text;
  const auto equals = [&](std::string_view part) {
    return matcher.ignore_case ? equal_without_case(part, wanted) : part == wanted;
  };
  switch (matcher.kind) {
    case NameMatcher::Kind::exact:
      return equals(text);
    case NameMatcher::Kind::prefix:
      return text.size() >= wanted.size() && equals(text.substr(0, wanted.size()));
    case NameMatcher::Kind::suffix:
      return text.size() >= wanted.size() && equals(text.substr(text.size() - wanted.size()));
    case NameMatcher::Kind::contains:
      for (std::size_t at = 0; at + wanted.size() <= text.size(); ++at)
        if (equals(text.substr(at, wanted.size()))) return true;
      return false;
    case NameMatcher::Kind::regex:
      return matcher.regex && matcher.regex(text);
  }
  return false;
}

}  // namespace

bool matches(const NameMatcher& matcher, const Name& name) {
  if (matcher.type != name.type) return false;
  if (name.type == NameType::dns && matcher.kind == NameMatcher::Kind::exact)
    return matches_dns_name(matcher.text, name.text);
  return matches_text(matcher, name.text);
}

bool is_expected(std::span<const NameMatcher> matchers, const Names& names) {
  if (matchers.empty()) return true;
  for (const Name name : names) {
    const auto fits = [&](const NameMatcher& matcher) { return matches(matcher, name); };
    if (std::any_of(matchers.begin(), matchers.end(), fits)) return true;
  }
  return false;
}

}  // namespace mooring::identity
