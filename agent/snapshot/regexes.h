// Texts that policies match: exact, prefix, suffix, contains, or a regular expression that was
// compiled when its resource was taken.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "core/result.h"
#include "snapshot/resources.h"

namespace mooring::snapshot {

/// The regular expressions of one listener or cluster, each compiled once. Deeply const after
/// build(); any thread.
class Regexes {
 public:
  /// Of one pattern, in bytes.
  static constexpr std::size_t kMaxPatternBytes = 4096;

  Regexes();
  ~Regexes();
  Regexes(const Regexes&) = delete;
  Regexes& operator=(const Regexes&) = delete;

  /// RE2 syntax. Fails with what is wrong with it; the diagnostic's path is empty.
  [[nodiscard]] Checked<void> add(const std::string& pattern);
  [[nodiscard]] bool empty() const noexcept { return compiled_.empty(); }
  /// Does it match the whole text? False for a pattern that was not added.
  [[nodiscard]] bool matches(std::string_view pattern, std::string_view text) const;

 private:
  struct Compiled;
  std::map<std::string, std::unique_ptr<const Compiled>, std::less<>> compiled_;
};
using RegexesPtr = std::shared_ptr<const Regexes>;

/// `regexes` may be null where no matcher is a safe_regex.
[[nodiscard]] bool matches(const StringMatcher& matcher,
                           std::string_view text,
                           const Regexes* regexes);

}  // namespace mooring::snapshot
