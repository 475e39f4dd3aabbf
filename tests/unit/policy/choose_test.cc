#include "policy/choose.h"

#include <gtest/gtest.h>

#include <vector>

namespace mooring::policy {
namespace {

using config::LbPolicy;

TEST(Choose, GoesRoundInOrder) {
  const std::vector<EndpointView> three(3);
  for (std::uint64_t position = 0; position < 7; ++position) {
    Choice choice;
    ASSERT_TRUE(choose(three, LbPolicy::round_robin, position, choice));
    EXPECT_EQ(choice.endpoint, position % 3);
  }
}

TEST(Choose, TakesTheFewestConnections) {
  const std::vector<EndpointView> endpoints{
      {5, false, false}, {2, false, false}, {2, false, false}};
  Choice choice;
  ASSERT_TRUE(choose(endpoints, LbPolicy::least_connections, 0, choice));
  EXPECT_EQ(choice.endpoint, 1U);
  ASSERT_TRUE(choose(endpoints, LbPolicy::least_connections, 2, choice));
  EXPECT_EQ(choice.endpoint, 2U);  // a tie goes round
}

TEST(Choose, PassesOverEjectedAndTriedEndpoints) {
  const std::vector<EndpointView> endpoints{{0, true, false}, {0, false, true}, {9, false, false}};
  Choice choice;
  ASSERT_TRUE(choose(endpoints, LbPolicy::round_robin, 0, choice));
  EXPECT_EQ(choice.endpoint, 2U);
  EXPECT_FALSE(choice.is_panic);
}

TEST(Choose, TakesAnEjectedEndpointOnlyWhenNothingElseIsLeft) {
  const std::vector<EndpointView> endpoints{{0, true, true}, {0, true, false}};
  Choice choice;
  ASSERT_TRUE(choose(endpoints, LbPolicy::round_robin, 0, choice));
  EXPECT_EQ(choice.endpoint, 1U);
  EXPECT_TRUE(choice.is_panic);
  EXPECT_FALSE(
      choose(std::vector<EndpointView>{{0, true, true}}, LbPolicy::round_robin, 0, choice));
  EXPECT_FALSE(choose({}, LbPolicy::least_connections, 0, choice));
}

}  // namespace
}  // namespace mooring::policy
