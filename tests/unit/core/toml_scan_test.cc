#include "core/toml_scan.h"

#include <gtest/gtest.h>

namespace mooring {
namespace {

constexpr std::size_t kNone = std::string_view::npos;

std::size_t problem_at(std::string_view text) {
  const TomlScan scan = scan_toml(text);
  return scan.problem == nullptr ? kNone : scan.offset;
}

TEST(ScanToml, FindsForeignCharactersOnlyWhereTheLibraryLooksAtThem) {
  EXPECT_EQ(problem_at("a = 1"), kNone);
  EXPECT_EQ(problem_at("\xc3\xa9 = 1"), 0U);
  EXPECT_EQ(problem_at("a = 1 # \xc3\xa9\nb = 2\n"), kNone);
  EXPECT_EQ(problem_at("a = \"\xc3\xa9\""), kNone);
  EXPECT_EQ(problem_at("a = '\xc3\xa9'"), kNone);
  EXPECT_EQ(problem_at("a = \"\\\"\xc3\xa9\""), kNone) << "an escaped quote";
  EXPECT_EQ(problem_at("a = \"\" \xc3\xa9"), 7U);
  EXPECT_EQ(problem_at("a = \"\"\"\xc3\xa9\"\"\""), 7U) << "a string of several lines";
  EXPECT_EQ(problem_at("a = '''x\n\xc3\xa9'''"), 9U);
  EXPECT_EQ(problem_at("a = '''x''''' \xc3\xa9"), 14U);
}

TEST(ScanToml, FindsHeadersWithoutAName) {
  EXPECT_EQ(problem_at("[a]\n[[b]]\n[ c ]\n[\"d\"]\n['e'] # [*"), kNone);
  EXPECT_EQ(problem_at("[]"), kNone) << "the library says that well";
  EXPECT_EQ(problem_at("[*]"), 1U);
  EXPECT_EQ(problem_at("a = 1\n  [[ =]]"), 11U);
  EXPECT_EQ(problem_at("[\n"), 1U);
  EXPECT_EQ(problem_at("["), kNone) << "so does it the end";
  EXPECT_EQ(problem_at("a = [\n [ # nested\n 1 ],\n [2]\n]"), kNone);
}

TEST(ScanToml, FindsBracesThatCloseNothing) {
  EXPECT_EQ(problem_at("a = {b = [{c = 1}]}"), kNone);
  EXPECT_EQ(problem_at("a = [}"), 5U);
  EXPECT_EQ(problem_at("a = }"), 4U);
  EXPECT_EQ(problem_at("a = '}' # }"), kNone);
}

TEST(ScanToml, CountsDotsOfKeys) {
  EXPECT_EQ(scan_toml("a.b.c = \"1.2.3\" # ...\n").dots, 2U);
  EXPECT_EQ(scan_toml("").dots, 0U);
}

TEST(ScanToml, SurvivesTextThatEndsAnywhere) {
  constexpr std::string_view kText = "a = \"\"\"\\x\"\"\"\nb.c = '\\' # \xc3\xa9";
  for (std::size_t size = 0; size <= kText.size(); ++size)
    (void)scan_toml(kText.substr(0, size));
  EXPECT_EQ(problem_at("\"\\"), kNone);
}

TEST(TextPlace, CountsCharacters) {
  EXPECT_EQ(text_place("ab\nc", 4).line, 2U);
  EXPECT_EQ(text_place("ab\nc", 4).column, 2U);
  EXPECT_EQ(text_place("\xc3\xa9x", 2).column, 2U);
  EXPECT_EQ(text_place("a", 99).column, 2U) << "beyond the end: its end";
}

}  // namespace
}  // namespace mooring
