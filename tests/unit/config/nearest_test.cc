#include "config/nearest.h"

#include <gtest/gtest.h>

#include <array>

namespace mooring::config {
namespace {

TEST(EditDistance, CountsInsertDeleteReplaceAndSwap) {
  EXPECT_EQ(edit_distance("", ""), 0U);
  EXPECT_EQ(edit_distance("port", "ports"), 1U);
  EXPECT_EQ(edit_distance("ports", "port"), 1U);
  EXPECT_EQ(edit_distance("pord", "port"), 1U);
  EXPECT_EQ(edit_distance("prot", "port"), 1U);
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3U);
}

constexpr std::array<std::string_view, 3> kKeys{"name", "port", "listen"};

TEST(Nearest, FindsTheClosestOfKnownWords) {
  EXPECT_EQ(nearest("lisen", kKeys), "listen");
  EXPECT_EQ(nearest("prt", kKeys), "port");
}

TEST(Nearest, SaysNothingWhenNothingIsNear) {
  EXPECT_EQ(nearest("banana", kKeys), "");
  EXPECT_EQ(nearest(std::string(100'000, 'x'), kKeys), "");
}

}  // namespace
}  // namespace mooring::config
