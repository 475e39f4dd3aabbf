#include "observe/stats.h"

#include <gtest/gtest.h>

#include <cmath>

namespace mooring::observe {
namespace {

TEST(Histogram, CountsAValueIntoTheFirstBoundThatIsNotBelowIt) {
  Histogram histogram;
  histogram.record(0.2);
  histogram.record(0.5);      // equals the first bound
  histogram.record(0.51);     // second
  histogram.record(3600001);  // +Inf
  EXPECT_EQ(histogram.bucket(0), 2U);
  EXPECT_EQ(histogram.bucket(1), 1U);
  EXPECT_EQ(histogram.bucket(kMsBounds.size()), 1U);
  EXPECT_NEAR(histogram.sum(), 3600002.21, 0.01);
}

TEST(Histogram, TakesNonsenseAsZero) {
  Histogram histogram;
  histogram.record(-1);
  histogram.record(std::nan(""));
  EXPECT_EQ(histogram.bucket(0), 2U);
  EXPECT_EQ(histogram.sum(), 0);
}

TEST(StatsRegistry, GivesEachWorkerItsOwnBlockAtAStableAddress) {
  StatsRegistry registry(2);
  ListenerStats& first = registry.listener({"inbound_db", "0.0.0.0_5432"}, 0);
  ListenerStats& second = registry.listener({"inbound_db", "0.0.0.0_5432"}, 1);
  EXPECT_NE(&first, &second);
  for (int i = 0; i < 100; ++i)
    (void)registry.listener({"other", std::to_string(i)}, 0);
  EXPECT_EQ(&first, &registry.listener({"inbound_db", "0.0.0.0_5432"}, 0));
  EXPECT_NE(&registry.cluster("a", 0), &registry.cluster("b", 0));
  EXPECT_EQ(registry.clusters().size(), 2U);
}

}  // namespace
}  // namespace mooring::observe
