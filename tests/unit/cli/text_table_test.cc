#include "cli/text_table.h"

#include <gtest/gtest.h>

namespace mooring::cli {
namespace {

TEST(ShowSpan, NamesTheTwoLargestUnits) {
  EXPECT_EQ(show_span(-5), "0s");
  EXPECT_EQ(show_span(59), "59s");
  EXPECT_EQ(show_span(60), "1m 0s");
  EXPECT_EQ(show_span(3 * 3600 + 62), "3h 1m");
  EXPECT_EQ(show_span(2 * 86400 + 3600 + 59 * 60), "2d 1h");
}

TEST(Printable, ReplacesControlCharactersOnly) {
  EXPECT_EQ(printable("a\x1b[31mb\n\x7f"), "a?[31mb??");
  EXPECT_EQ(printable("f\xc3\xbc\xc3\x9f"), "f\xc3\xbc\xc3\x9f");
}

TEST(Paint, ColoursOnlyWhereAsked) {
  EXPECT_EQ(paint("no", Tone::bad, false), "no");
  EXPECT_EQ(paint("no", Tone::bad, true), "\x1b[31mno\x1b[0m");
  EXPECT_EQ(paint("", Tone::bad, true), "");
}

TEST(TextTable, AlignsColumnsWhateverTheColours) {
  TextTable table({{"NAME"}, {"N", true}, {"LAST"}});
  table.add({{"f\xc3\xbc\xc3\x9f"}, {"12345", Tone::bad}, {}});
  table.add({{"longer"}, {"1"}, {"x"}});
  EXPECT_EQ(table.render(false),
            "  NAME        N  LAST\n  f\xc3\xbc\xc3\x9f     12345\n  longer      1  x\n");
  EXPECT_NE(table.render(true).find("  \x1b[31m12345\x1b[0m\n"), std::string::npos);
}

}  // namespace
}  // namespace mooring::cli
