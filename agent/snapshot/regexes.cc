#include "snapshot/regexes.h"

#include <fmt/format.h>
#include <re2/re2.h>

#include "core/ascii.h"

namespace mooring::snapshot {

namespace {

// Of one compiled pattern and what it remembers while it runs.
constexpr std::int64_t kMaxRegexBytes = std::int64_t{1} << 20U;

RE2::Options options() {
  RE2::Options options(RE2::Quiet);
  options.set_max_mem(kMaxRegexBytes);
  options.set_never_capture(true);
  return options;
}

bool matches_text(StringMatcher::Kind kind, std::string_view wanted, std::string_view text) {
  switch (kind) {
    case StringMatcher::Kind::exact:
      return text == wanted;
    case StringMatcher::Kind::prefix:
      return text.starts_with(wanted);
    case StringMatcher::Kind::suffix:
      return text.ends_with(wanted);
    case StringMatcher::Kind::contains:
      return text.find(wanted) != std::string_view::npos;
    case StringMatcher::Kind::safe_regex:
      break;  // Regexes'
  }
  return false;
}

}  // namespace

struct Regexes::Compiled {
  explicit Compiled(const std::string& pattern) : re2(pattern, options()) {}
  RE2 re2;
};

Regexes::Regexes() = default;
Regexes::~Regexes() = default;

Checked<void> Regexes::add(const std::string& pattern) {
  if (compiled_.contains(pattern)) return {};
  if (pattern.size() > kMaxPatternBytes)
    return fail(Diagnostic{"", "the regular expression is too long", ""});
  auto made = std::make_unique<const Compiled>(pattern);
  if (!made->re2.ok()) {
    return fail(Diagnostic{
        "", fmt::format("no regular expression that RE2 takes: {}", made->re2.error()), ""});
  }
  compiled_.emplace(pattern, std::move(made));
  return {};
}

bool Regexes::matches(std::string_view pattern, std::string_view text) const {
  const auto found = compiled_.find(pattern);
  return found != compiled_.end() &&
         RE2::FullMatch(re2::StringPiece(text.data(), text.size()), found->second->re2);
}

bool matches(const StringMatcher& matcher, std::string_view text, const Regexes* regexes) {
  if (matcher.kind == StringMatcher::Kind::safe_regex)
    return regexes != nullptr && regexes->matches(matcher.text, text);
  if (!matcher.ignore_case) return matches_text(matcher.kind, matcher.text, text);
  return matches_text(matcher.kind, lower_ascii(matcher.text), lower_ascii(std::string(text)));
}

}  // namespace mooring::snapshot
