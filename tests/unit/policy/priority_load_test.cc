#include "policy/priority_load.h"

#include <gtest/gtest.h>

namespace mooring::policy {
namespace {

struct Loads {
  std::vector<std::uint32_t> healthy;
  std::vector<std::uint32_t> degraded;
  std::vector<bool> panic;

  friend bool operator==(const Loads&, const Loads&) = default;
};

Loads loads(const std::vector<PriorityHealth>& priorities,
            std::uint32_t overprovisioning = 140,
            double panic_threshold = 50) {
  Loads found;
  std::uint32_t sum = 0;
  for (const PriorityLoad& load :
       build_priority_load(priorities, overprovisioning, panic_threshold)) {
    found.healthy.push_back(load.healthy_percent);
    found.degraded.push_back(load.degraded_percent);
    found.panic.push_back(load.is_panic);
    sum += load.healthy_percent + load.degraded_percent;
  }
  EXPECT_EQ(sum, 100U);
  return found;
}

// Envoy's documentation of priority levels (arch_overview/upstream/load_balancing/priority) has
// this table: health of P=0 and P=1 before overprovisioning, and the traffic of both.
TEST(PriorityLoad, FollowsTheTableOfTheDocumentation) {
  struct Row {
    std::size_t healthy_0, healthy_1;
    std::uint32_t traffic_0, traffic_1;
  };
  for (const Row row : {Row{100, 100, 100, 0},
                        Row{72, 72, 100, 0},
                        Row{71, 71, 99, 1},
                        Row{50, 50, 70, 30},
                        Row{50, 0, 100, 0},
                        Row{0, 100, 0, 100},
                        Row{25, 25, 50, 50},
                        Row{25, 0, 100, 0}}) {
    const std::vector<PriorityLoad> found =
        build_priority_load({{100, row.healthy_0, 0, 0}, {100, row.healthy_1, 0, 0}}, 140, 0);
    EXPECT_EQ(found[0].healthy_percent, row.traffic_0) << row.healthy_0 << " " << row.healthy_1;
    EXPECT_EQ(found[1].healthy_percent, row.traffic_1) << row.healthy_0 << " " << row.healthy_1;
  }
}

TEST(PriorityLoad, SpillsOverThreePriorities) {
  EXPECT_EQ(loads({{10, 2, 0, 0}, {10, 2, 0, 0}, {10, 10, 0, 0}}),
            (Loads{{28, 28, 44}, {0, 0, 0}, {false, false, false}}));
}

TEST(PriorityLoad, OverprovisioningDecidesWhenTrafficMovesOn) {
  EXPECT_EQ(loads({{4, 3, 0, 0}, {4, 4, 0, 0}}, 100).healthy, (std::vector<std::uint32_t>{75, 25}));
  EXPECT_EQ(loads({{4, 2, 0, 0}, {4, 4, 0, 0}}, 200).healthy, (std::vector<std::uint32_t>{100, 0}));
}

TEST(PriorityLoad, WhatRoundingLeavesGoesToTheFirstPriority) {
  EXPECT_EQ(loads({{7, 1, 0, 0}, {7, 1, 0, 0}, {7, 1, 0, 0}}, 100, 0).healthy,
            (std::vector<std::uint32_t>{34, 33, 33}));
}

TEST(PriorityLoad, DegradedEndpointsTakeWhatTheHealthyCannot) {
  EXPECT_EQ(loads({{10, 4, 6, 0}}, 100), (Loads{{40}, {60}, {false}}));
  EXPECT_EQ(loads({{10, 5, 5, 0}, {10, 5, 0, 0}}, 100), (Loads{{50, 50}, {0, 0}, {false, false}}));
  EXPECT_EQ(loads({{10, 0, 1, 0}, {10, 0, 0, 0}}, 100, 5),
            (Loads{{0, 0}, {100, 0}, {false, true}}));
}

TEST(PriorityLoad, TooFewHealthyEndpointsAreAPanic) {
  EXPECT_EQ(loads({{10, 4, 0, 0}}), (Loads{{100}, {0}, {true}}));
  EXPECT_EQ(loads({{10, 5, 0, 0}}), (Loads{{100}, {0}, {false}}));
  // 61.9 % counts as 62.
  EXPECT_TRUE(loads({{1000, 619, 0, 0}}, 140, 61.9).panic[0]);
  EXPECT_FALSE(loads({{1000, 620, 0, 0}}, 140, 61.9).panic[0]);
}

TEST(PriorityLoad, NoPanicWhileTheOthersMakeUpForIt) {
  EXPECT_EQ(loads({{10, 1, 0, 0}, {10, 10, 0, 0}}), (Loads{{14, 86}, {0, 0}, {false, false}}));
  EXPECT_EQ(loads({{10, 1, 0, 0}, {10, 6, 0, 0}}), (Loads{{15, 85}, {0, 0}, {true, false}}));
}

TEST(PriorityLoad, InTotalPanicTheNumberOfEndpointsDecides) {
  EXPECT_EQ(loads({{30, 1, 0, 0}, {10, 0, 0, 0}, {0, 0, 0, 0}}),
            (Loads{{75, 25, 0}, {0, 0, 0}, {true, true, true}}));
  EXPECT_EQ(loads({{0, 0, 0, 0}, {1, 0, 0, 0}, {1, 0, 0, 0}, {1, 0, 0, 0}}).healthy,
            (std::vector<std::uint32_t>{0, 34, 33, 33}));
}

TEST(PriorityLoad, WithoutPanicNobodyGetsTheTrafficOfTheDead) {
  EXPECT_EQ(loads({{5, 0, 0, 0}, {5, 0, 0, 0}}, 140, 0), (Loads{{100, 0}, {0, 0}, {false, false}}));
}

TEST(PriorityLoad, DrainingEndpointsDoNotCount) {
  EXPECT_EQ(loads({{10, 4, 0, 6}, {10, 10, 0, 0}}, 100), (Loads{{100, 0}, {0, 0}, {false, false}}));
  EXPECT_EQ(loads({{10, 0, 0, 10}, {10, 10, 0, 0}}, 100).healthy,
            (std::vector<std::uint32_t>{0, 100}));
}

TEST(PriorityLoad, OfNoEndpointsIsAPanicOfTheFirst) {
  EXPECT_EQ(loads({{0, 0, 0, 0}}), (Loads{{100}, {0}, {true}}));
  EXPECT_TRUE(build_priority_load({}, 140, 50).empty());
}

TEST(PriorityLoad, DrawsByPercent) {
  const std::vector<PriorityLoad> drawn =
      build_priority_load({{10, 2, 3, 0}, {10, 2, 0, 0}}, 100, 0);
  std::vector<int> counts(3);
  for (std::uint64_t i = 0; i < 1000; ++i) {
    const ChosenPriority chosen = choose_priority(drawn, i);
    ++counts[chosen.is_degraded ? 2 : chosen.priority];
  }
  EXPECT_EQ(counts, (std::vector<int>{300, 280, 420}));
}

}  // namespace
}  // namespace mooring::policy
