#include "observe/close_reason.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace mooring::observe {
namespace {

CloseReason reason_at(std::size_t index) {
  return static_cast<CloseReason>(index);
}

TEST(CloseReason, HasADistinctSnakeCaseName) {
  std::set<std::string> names;
  for (std::size_t i = 0; i < kCloseReasons; ++i) {
    const std::string name = to_string(reason_at(i));
    EXPECT_EQ(name.find_first_not_of("abcdefghijklmnopqrstuvwxyz_"), std::string::npos) << name;
    EXPECT_TRUE(names.insert(name).second) << name;
  }
}

TEST(CloseReason, HasACauseAndARemedyThatAreSentences) {
  for (std::size_t i = 0; i < kCloseReasons; ++i) {
    for (const std::string_view text : {cause(reason_at(i)), remedy(reason_at(i))}) {
      EXPECT_GT(text.size(), 10U) << to_string(reason_at(i));
      EXPECT_TRUE(text.ends_with('.')) << text;
    }
  }
}

TEST(CloseReason, OnlyClosedIsOrderly) {
  for (std::size_t i = 0; i < kCloseReasons; ++i) {
    EXPECT_EQ(is_orderly(reason_at(i)), reason_at(i) == CloseReason::closed);
  }
}

TEST(CloseReason, HasEnvoysFlagsForTheSideThatFailed) {
  EXPECT_STREQ(response_flags(CloseReason::closed, Direction::inbound), "-");
  EXPECT_STREQ(response_flags(CloseReason::connect_refused, Direction::inbound), "UF");
  EXPECT_STREQ(response_flags(CloseReason::no_endpoint, Direction::outbound), "UH");
  EXPECT_STREQ(response_flags(CloseReason::no_route, Direction::outbound), "NR");
  EXPECT_STREQ(response_flags(CloseReason::peer_untrusted, Direction::inbound), "DPE");
  EXPECT_STREQ(response_flags(CloseReason::peer_untrusted, Direction::outbound), "UF");
}

}  // namespace
}  // namespace mooring::observe
