#include "policy/choose_cluster.h"

#include <gtest/gtest.h>

#include <array>

namespace mooring::policy {
namespace {

TEST(ChooseCluster, EachGetsItsWeight) {
  const std::vector<snapshot::WeightedCluster> clusters{{"a", 70}, {"none", 0}, {"b", 30}};
  std::array<int, 3> counts{};
  for (std::uint64_t random = 0; random < 1000; ++random)
    ++counts.at(choose_cluster(clusters, random));
  EXPECT_EQ(counts, (std::array<int, 3>{700, 0, 300}));
}

TEST(ChooseCluster, WeightsMayAddUpToMoreThanTheyCanHold) {
  const std::vector<snapshot::WeightedCluster> clusters{{"a", 0xffffffff}, {"b", 0xffffffff}};
  EXPECT_EQ(choose_cluster(clusters, 0xfffffffe), 0U);
  EXPECT_EQ(choose_cluster(clusters, 0xffffffff), 1U);
}

}  // namespace
}  // namespace mooring::policy
