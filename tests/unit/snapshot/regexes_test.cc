#include "snapshot/regexes.h"

#include <gtest/gtest.h>

namespace mooring::snapshot {
namespace {

using Kind = StringMatcher::Kind;

TEST(StringMatcher, MatchesByItsKind) {
  struct Case {
    StringMatcher matcher;
    const char* text;
    bool matches;
  };
  const std::vector<Case> cases{{{Kind::exact, "abc", false}, "abc", true},
                                {{Kind::exact, "abc", false}, "abcd", false},
                                {{Kind::exact, "abc", false}, "Abc", false},
                                {{Kind::exact, "aBc", true}, "Abc", true},
                                {{Kind::prefix, "ab", false}, "abc", true},
                                {{Kind::prefix, "ab", false}, "a", false},
                                {{Kind::prefix, "AB", true}, "abc", true},
                                {{Kind::suffix, "bc", false}, "abc", true},
                                {{Kind::suffix, "bc", false}, "bcd", false},
                                {{Kind::contains, "b", false}, "abc", true},
                                {{Kind::contains, "x", false}, "abc", false}};
  for (const Case& one : cases) {
    EXPECT_EQ(matches(one.matcher, one.text, nullptr), one.matches)
        << one.matcher.text << " " << one.text;
  }
}

TEST(Regexes, MatchTheWholeText) {
  Regexes regexes;
  ASSERT_TRUE(regexes.add("a.c"));
  const StringMatcher matcher{Kind::safe_regex, "a.c", false};
  EXPECT_TRUE(matches(matcher, "abc", &regexes));
  EXPECT_FALSE(matches(matcher, "abcd", &regexes));
  EXPECT_FALSE(matches(matcher, "abc", nullptr));
  EXPECT_FALSE(regexes.matches("b", "b")) << "never added";
}

TEST(Regexes, SayWhatIsWrong) {
  Regexes regexes;
  const auto broken = regexes.add("a(");
  ASSERT_FALSE(broken);
  EXPECT_NE(broken.error().message.find("missing )"), std::string::npos) << broken.error().message;
  EXPECT_FALSE(regexes.add(std::string(Regexes::kMaxPatternBytes + 1, 'a')));
  EXPECT_FALSE(regexes.add("((a{1,1000}){1,1000}){1,1000}")) << "would take too much memory";
  EXPECT_TRUE(regexes.empty());
}

}  // namespace
}  // namespace mooring::snapshot
