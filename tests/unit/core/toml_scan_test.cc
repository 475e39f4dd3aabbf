#include "core/toml_scan.h"

#include <gtest/gtest.h>

namespace mooring {
namespace {

constexpr std::size_t kNone = std::string_view::npos;

TEST(ScanToml, FindsForeignCharactersOnlyWhereTheLibraryLooksAtThem) {
  EXPECT_EQ(scan_toml("a = 1").foreign, kNone);
  EXPECT_EQ(scan_toml("\xc3\xa9 = 1").foreign, 0U);
  EXPECT_EQ(scan_toml("a = 1 # \xc3\xa9\nb = 2\n").foreign, kNone);
  EXPECT_EQ(scan_toml("a = \"\xc3\xa9\"").foreign, kNone);
  EXPECT_EQ(scan_toml("a = '\xc3\xa9'").foreign, kNone);
  EXPECT_EQ(scan_toml("a = \"\\\"\xc3\xa9\"").foreign, kNone) << "an escaped quote";
  EXPECT_EQ(scan_toml("a = \"\" \xc3\xa9").foreign, 7U);
  EXPECT_EQ(scan_toml("a = \"\"\"\xc3\xa9\"\"\"").foreign, 7U) << "a string of several lines";
  EXPECT_EQ(scan_toml("a = '''x\n\xc3\xa9'''").foreign, 9U);
  EXPECT_EQ(scan_toml("a = '''x''''' \xc3\xa9").foreign, 14U);
}

TEST(ScanToml, CountsDotsOfKeys) {
  EXPECT_EQ(scan_toml("a.b.c = \"1.2.3\" # ...\n").dots, 2U);
  EXPECT_EQ(scan_toml("").dots, 0U);
}

TEST(ScanToml, SurvivesTextThatEndsAnywhere) {
  constexpr std::string_view kText = "a = \"\"\"\\x\"\"\"\nb.c = '\\' # \xc3\xa9";
  for (std::size_t size = 0; size <= kText.size(); ++size)
    (void)scan_toml(kText.substr(0, size));
  EXPECT_EQ(scan_toml("\"\\").foreign, kNone);
}

TEST(TextPlace, CountsCharacters) {
  EXPECT_EQ(text_place("ab\nc", 4).line, 2U);
  EXPECT_EQ(text_place("ab\nc", 4).column, 2U);
  EXPECT_EQ(text_place("\xc3\xa9x", 2).column, 2U);
  EXPECT_EQ(text_place("a", 99).column, 2U) << "beyond the end: its end";
}

}  // namespace
}  // namespace mooring
