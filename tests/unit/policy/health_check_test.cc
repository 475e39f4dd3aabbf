#include "policy/health_check.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <string_view>

namespace mooring::policy {
namespace {

snapshot::HealthCheck every_ten_seconds() {
  snapshot::HealthCheck options;
  options.interval = Milliseconds(10000);
  options.unhealthy_threshold = 3;
  options.healthy_threshold = 2;
  return options;
}

// One letter per result: what the endpoint is after it, in capitals where that is news.
std::string states(std::string_view results) {
  const snapshot::HealthCheck options = every_ten_seconds();
  Random random(1);
  HealthCheckState state(options);
  std::string found;
  for (const char result : results) {
    const auto outcome = result == '+' ? state.succeeded(true, random) : state.failed(true, random);
    const bool is_healthy = state.is_healthy();
    found.push_back(outcome.changed ? (is_healthy ? 'H' : 'U') : (is_healthy ? 'h' : 'u'));
  }
  return found;
}

TEST(HealthCheck, TheFirstResultCountsAtOnce) {
  EXPECT_EQ(states("+"), "H");
  EXPECT_EQ(states("-"), "U");
  const snapshot::HealthCheck options = every_ten_seconds();
  HealthCheckState state(options);
  EXPECT_TRUE(state.is_pending());
  EXPECT_FALSE(state.is_healthy());
  Random random(1);
  state.failed(true, random);
  EXPECT_FALSE(state.is_pending());
}

TEST(HealthCheck, FailuresInARowMakeAnEndpointUnhealthy) {
  EXPECT_EQ(states("+---"), "HhhU");
  EXPECT_EQ(states("+--+---"), "HhhhhhU");  // a success begins the count anew
}

TEST(HealthCheck, SuccessesInARowMakeItHealthyAgain) {
  EXPECT_EQ(states("-++"), "UuH");
  EXPECT_EQ(states("-+-++"), "UuuuH");
  EXPECT_EQ(states("-++---++"), "UuHhhUuH");
}

TEST(HealthCheck, AClusterThatNobodyUsesIsCheckedRarely) {
  snapshot::HealthCheck options = every_ten_seconds();
  options.no_traffic_interval = Milliseconds(60000);
  Random random(1);
  HealthCheckState state(options);
  EXPECT_EQ(state.succeeded(false, random).wait, Milliseconds(60000));
  EXPECT_EQ(state.failed(false, random).wait, Milliseconds(60000));
  EXPECT_EQ(state.succeeded(true, random).wait, Milliseconds(10000));
}

TEST(HealthCheck, ChecksAreSpreadByJitter) {
  snapshot::HealthCheck options = every_ten_seconds();
  options.interval_jitter = Milliseconds(500);
  options.interval_jitter_percent = 20;
  Random random(1);
  HealthCheckState state(options);
  Milliseconds least{1000000};
  Milliseconds most{0};
  for (int i = 0; i < 2000; ++i) {
    const Milliseconds wait = state.succeeded(true, random).wait;
    least = std::min(least, wait);
    most = std::max(most, wait);
  }
  EXPECT_GE(least, Milliseconds(10000));
  EXPECT_LT(least, Milliseconds(10100));
  EXPECT_LT(most, Milliseconds(12500));
  EXPECT_GT(most, Milliseconds(12300));
}

TEST(HealthCheck, TheFirstCheckIsDueAtOnceUnlessJittered) {
  snapshot::HealthCheck options = every_ten_seconds();
  Random random(1);
  EXPECT_EQ(HealthCheckState(options).first_wait(random), Milliseconds(0));
  options.initial_jitter = Milliseconds(1000);
  for (int i = 0; i < 100; ++i) {
    const Milliseconds wait = HealthCheckState(options).first_wait(random);
    EXPECT_GE(wait, Milliseconds(1));
    EXPECT_LT(wait, Milliseconds(1000));
  }
}

TEST(HealthCheck, AnIntervalOfNothingDoesNotSpin) {
  snapshot::HealthCheck options;
  Random random(1);
  HealthCheckState state(options);
  EXPECT_EQ(state.failed(true, random).wait, Milliseconds(1));
}

TEST(HealthCheck, FindsWhatIsExpectedInOrder) {
  EXPECT_TRUE(receives("+PONG\r\n", {"PONG"}));
  EXPECT_TRUE(receives("one two three", {"one", "three"}));
  EXPECT_FALSE(receives("three two one", {"one", "three"}));
  EXPECT_FALSE(receives("aba", {"ab", "ba"}));  // no byte counts twice
  EXPECT_TRUE(receives("", {}));
  EXPECT_FALSE(receives("", {"x"}));
  EXPECT_TRUE(receives(std::string("\0\x01", 2), {std::string("\0", 1)}));
}

}  // namespace
}  // namespace mooring::policy
