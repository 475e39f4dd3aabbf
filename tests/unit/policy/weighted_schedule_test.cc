#include "policy/weighted_schedule.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace mooring::policy {
namespace {

TEST(WeightedSchedule, GivesEachItsTurnsEvenly) {
  const std::vector<double> weights{5, 1, 3, 1};
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    WeightedSchedule schedule(weights, seed);
    std::vector<int> picks(weights.size());
    for (int i = 1; i <= 200; ++i) {
      ++picks[schedule.pick([&](std::size_t at) { return weights[at]; })];
      for (std::size_t at = 0; at < weights.size(); ++at)
        ASSERT_LE(std::abs(picks[at] - i * weights[at] / 10), 1.7) << i << " " << at;
    }
    EXPECT_EQ(picks, (std::vector<int>{100, 20, 60, 20}));
  }
}

TEST(WeightedSchedule, BeginsWhereTheSeedSays) {
  const std::vector<double> weights{3, 2, 3};
  std::vector<int> first(weights.size());
  for (std::uint64_t seed = 0; seed < 3000; ++seed) {
    WeightedSchedule schedule(weights, seed);
    ++first[schedule.pick([&](std::size_t at) { return weights[at]; })];
  }
  EXPECT_NEAR(first[0], first[2], 150);
  EXPECT_GT(first[1], 400);
  EXPECT_LT(first[1], first[0]);
}

TEST(WeightedSchedule, FollowsWeightsThatChange) {
  std::vector<double> weights{1, 2};
  WeightedSchedule schedule(weights, 7);
  const auto weight_of = [&](std::size_t at) { return weights[at]; };
  for (int i = 0; i < 10; ++i)
    (void)schedule.pick(weight_of);
  weights = {8, 2};
  std::vector<int> picks(2);
  for (int i = 0; i < 1000; ++i)
    ++picks[schedule.pick(weight_of)];
  EXPECT_NEAR(picks[0], 800, 3);
}

TEST(WeightedSchedule, PassesOverThoseWithoutWeight) {
  const double nothing = std::numeric_limits<double>::quiet_NaN();
  EXPECT_TRUE(WeightedSchedule({0, -1, nothing}, 1).is_empty());
  EXPECT_TRUE(WeightedSchedule().is_empty());
  WeightedSchedule schedule({0, 1, 0}, 1);
  for (int i = 0; i < 5; ++i)
    EXPECT_EQ(schedule.pick([](std::size_t) { return 1.0; }), 1U);
}

TEST(WeightedSchedule, SurvivesWeightsThatAreNoNumbers) {
  WeightedSchedule schedule({1, 1}, 1);
  for (int i = 0; i < 100; ++i)
    (void)schedule.pick([](std::size_t) { return std::nan(""); });
  EXPECT_LT(schedule.pick([](std::size_t) { return 1.0; }), 2U);
}

}  // namespace
}  // namespace mooring::policy
