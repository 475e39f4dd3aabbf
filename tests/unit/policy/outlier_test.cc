#include "policy/outlier.h"

#include <gtest/gtest.h>

namespace mooring::policy {
namespace {

using snapshot::OutlierDetection;

SocketAddress host(std::uint32_t number) {
  return {IpAddress::v4(0x0a000000 + number), 80};
}

std::vector<SocketAddress> hosts(std::uint32_t count) {
  std::vector<SocketAddress> made;
  made.reserve(count);
  for (std::uint32_t i = 0; i < count; ++i)
    made.push_back(host(i));
  return made;
}

OutlierDetection all_may_go() {
  OutlierDetection options;
  options.max_ejection_percent = 100;
  return options;
}

OutlierDetector detector(const OutlierDetection& options, std::uint32_t count) {
  OutlierDetector made(options, 1);
  made.set_hosts(hosts(count));
  return made;
}

// Fails until it is ejected; how often, or 0 where it never was in a hundred times.
int failures_until_ejected(OutlierDetector& detector,
                           const SocketAddress& address,
                           std::uint64_t now_ms = 0) {
  for (int i = 1; i <= 100; ++i) {
    if (detector.failed(address, now_ms)) return i;
  }
  return 0;
}

std::uint64_t enforced(const OutlierDetector& detector, EjectionCause cause) {
  return detector.counts().enforced[static_cast<std::size_t>(cause)];
}

std::uint64_t detected(const OutlierDetector& detector, EjectionCause cause) {
  return detector.counts().detected[static_cast<std::size_t>(cause)];
}

TEST(Outlier, FailedConnectionsInARowEject) {
  OutlierDetector outlier = detector(all_may_go(), 2);
  EXPECT_EQ(failures_until_ejected(outlier, host(0)), 5);
  EXPECT_TRUE(outlier.is_ejected(host(0)));
  EXPECT_FALSE(outlier.is_ejected(host(1)));
  EXPECT_EQ(outlier.ejected(), 1U);
  EXPECT_EQ(enforced(outlier, EjectionCause::consecutive_5xx), 1U);
}

TEST(Outlier, ASuccessBeginsTheCountAnew) {
  OutlierDetector outlier = detector(all_may_go(), 2);
  for (int i = 0; i < 4; ++i)
    EXPECT_FALSE(outlier.failed(host(0), 0));
  outlier.succeeded(host(0));
  EXPECT_EQ(failures_until_ejected(outlier, host(0)), 5);
}

TEST(Outlier, AFailureCountsAsAGatewayFailureToo) {
  OutlierDetection options = all_may_go();
  options.consecutive_gateway_failure = 3;
  options.enforcing_consecutive_gateway_failure = 100;
  OutlierDetector outlier = detector(options, 2);
  EXPECT_EQ(failures_until_ejected(outlier, host(0)), 3);
  EXPECT_EQ(enforced(outlier, EjectionCause::consecutive_gateway_failure), 1U);
}

TEST(Outlier, WhatIsNotEnforcedIsOnlyDetected) {
  OutlierDetector outlier = detector(all_may_go(), 2);  // gateway failures: 5, not enforced
  EXPECT_EQ(failures_until_ejected(outlier, host(0)), 5);
  EXPECT_EQ(detected(outlier, EjectionCause::consecutive_gateway_failure), 1U);
  EXPECT_EQ(enforced(outlier, EjectionCause::consecutive_gateway_failure), 0U);
}

TEST(Outlier, EnforcesByPercentage) {
  OutlierDetection options = all_may_go();
  options.consecutive_5xx = 1;
  options.enforcing_consecutive_5xx = 30;
  OutlierDetector outlier = detector(options, 1000);
  for (std::uint32_t i = 0; i < 1000; ++i)
    outlier.failed(host(i), 0);
  EXPECT_NEAR(static_cast<double>(outlier.ejected()), 300, 50);
}

TEST(Outlier, SplitErrorsHaveTheirOwnCount) {
  OutlierDetection options = all_may_go();
  options.split_external_local_origin_errors = true;
  options.consecutive_5xx = 1;
  options.consecutive_local_origin_failure = 4;
  OutlierDetector outlier = detector(options, 2);
  EXPECT_EQ(failures_until_ejected(outlier, host(0)), 4);
  EXPECT_EQ(enforced(outlier, EjectionCause::consecutive_local_origin_failure), 1U);
  EXPECT_EQ(detected(outlier, EjectionCause::consecutive_5xx), 0U);
}

TEST(Outlier, NeverEjectsMoreThanThePercentage) {
  OutlierDetection options;
  options.max_ejection_percent = 10;
  OutlierDetector three = detector(options, 3);
  EXPECT_EQ(failures_until_ejected(three, host(0)), 0);  // not even one
  EXPECT_EQ(three.counts().overflow, 40U);               // by two causes each
  OutlierDetector ten = detector(options, 10);
  EXPECT_EQ(failures_until_ejected(ten, host(0)), 5);
  EXPECT_EQ(failures_until_ejected(ten, host(1)), 0);
  options.max_ejection_percent = 50;
  OutlierDetector two = detector(options, 2);
  EXPECT_EQ(failures_until_ejected(two, host(0)), 5);
  EXPECT_EQ(failures_until_ejected(two, host(1)), 0);
  options.max_ejection_percent = 4000000000U;
  OutlierDetector one = detector(options, 1);
  EXPECT_EQ(failures_until_ejected(one, host(0)), 5);
}

// How long, to the millisecond, an ejection that begins at `now_ms` lasts; `now_ms` is its end
// then.
std::uint64_t ejection_time(OutlierDetector& outlier, std::uint64_t& now_ms) {
  const std::uint64_t begin = now_ms;
  EXPECT_EQ(failures_until_ejected(outlier, host(0), begin), 5);
  while (!outlier.on_interval(now_ms))
    ++now_ms;
  EXPECT_FALSE(outlier.is_ejected(host(0)));
  return now_ms - begin;
}

TEST(Outlier, AnEjectionLastsLongerEachTime) {
  OutlierDetection options = all_may_go();
  options.interval = Milliseconds(1000);
  options.base_ejection_time = Milliseconds(3000);
  options.max_ejection_time = Milliseconds(7500);
  OutlierDetector outlier = detector(options, 2);
  std::uint64_t now = 0;
  EXPECT_EQ(ejection_time(outlier, now), 3000U);
  EXPECT_EQ(ejection_time(outlier, now), 6000U);
  EXPECT_EQ(ejection_time(outlier, now), 7500U);
  EXPECT_EQ(ejection_time(outlier, now), 7500U);
  // Each interval that it stays takes one off again.
  for (int i = 0; i < 3; ++i)
    outlier.on_interval(now += 1000);
  EXPECT_EQ(ejection_time(outlier, now), 6000U);
}

TEST(Outlier, AHealthCheckReadmits) {
  OutlierDetector outlier = detector(all_may_go(), 2);
  EXPECT_FALSE(outlier.readmit(host(0), 0));
  failures_until_ejected(outlier, host(0));
  outlier.failed(host(0), 0);  // while it is ejected
  EXPECT_TRUE(outlier.readmit(host(0), 10));
  EXPECT_EQ(outlier.ejected(), 0U);
  EXPECT_EQ(failures_until_ejected(outlier, host(0)), 5);
}

TEST(Outlier, HostsThatStayKeepTheirState) {
  OutlierDetector outlier = detector(all_may_go(), 3);
  failures_until_ejected(outlier, host(0));
  failures_until_ejected(outlier, host(1));
  outlier.failed(host(2), 0);
  outlier.set_hosts({host(0), host(2), host(9)});
  EXPECT_EQ(outlier.ejected(), 1U);
  EXPECT_TRUE(outlier.is_ejected(host(0)));
  EXPECT_FALSE(outlier.is_ejected(host(1)));
  EXPECT_EQ(failures_until_ejected(outlier, host(2)), 4);
  EXPECT_FALSE(outlier.failed(host(1), 0));  // nobody's
  outlier.set_hosts({host(1)});
  EXPECT_FALSE(outlier.is_ejected(host(1)));
}

void give_rate(OutlierDetector& outlier,
               const SocketAddress& address,
               std::uint64_t successes,
               int failures) {
  for (int i = 0; i < failures; ++i) {
    outlier.failed(address, 0);
    outlier.succeeded(address, 0);
  }
  outlier.succeeded(address, successes);
}

OutlierDetection by_rate() {
  OutlierDetection options = all_may_go();
  options.enforcing_consecutive_5xx = 0;
  return options;
}

// The example of Envoy's source: rates 50, 100, 100, 100, 100 have the threshold 52.
TEST(Outlier, EjectsWhoseSuccessRateIsFarBelowTheOthers) {
  OutlierDetector outlier = detector(by_rate(), 5);
  give_rate(outlier, host(0), 51, 49);
  for (std::uint32_t i = 1; i < 5; ++i)
    give_rate(outlier, host(i), 100, 0);
  EXPECT_TRUE(outlier.on_interval(0));
  EXPECT_TRUE(outlier.is_ejected(host(0)));
  EXPECT_EQ(outlier.ejected(), 1U);
  EXPECT_EQ(enforced(outlier, EjectionCause::success_rate), 1U);
}

TEST(Outlier, SuccessRatesNeedHostsAndVolume) {
  OutlierDetector few_hosts = detector(by_rate(), 4);
  OutlierDetector few_connections = detector(by_rate(), 5);
  for (OutlierDetector* outlier : {&few_hosts, &few_connections}) {
    const std::uint64_t volume = outlier == &few_hosts ? 1000 : 20;
    give_rate(*outlier, host(0), 0, 50);
    for (std::uint32_t i = 1; i < 5; ++i)
      give_rate(*outlier, host(i), volume, 0);
    outlier->on_interval(0);
    EXPECT_EQ(detected(*outlier, EjectionCause::success_rate), 0U);
  }
}

TEST(Outlier, RatesAreOfTheLastIntervalOnly) {
  OutlierDetector outlier = detector(by_rate(), 5);
  for (std::uint32_t i = 1; i < 5; ++i)
    give_rate(outlier, host(i), 100, 0);
  outlier.on_interval(0);
  give_rate(outlier, host(0), 0, 200);
  outlier.on_interval(10000);
  EXPECT_EQ(detected(outlier, EjectionCause::success_rate), 0U);
}

TEST(Outlier, EjectsByFailurePercentageWhereItIsEnforced) {
  OutlierDetection options = by_rate();
  options.enforcing_success_rate = 0;
  options.enforcing_failure_percentage = 100;
  options.failure_percentage_minimum_hosts = 3;
  OutlierDetector outlier = detector(options, 3);
  give_rate(outlier, host(0), 15, 85);
  give_rate(outlier, host(1), 16, 84);
  give_rate(outlier, host(2), 0, 49);  // below the volume
  outlier.on_interval(0);
  EXPECT_EQ(outlier.ejected(), 0U);  // two hosts are not enough
  give_rate(outlier, host(0), 15, 85);
  give_rate(outlier, host(1), 16, 84);
  give_rate(outlier, host(2), 50, 0);
  EXPECT_TRUE(outlier.on_interval(1000));
  EXPECT_TRUE(outlier.is_ejected(host(0)));
  EXPECT_EQ(outlier.ejected(), 1U);
  EXPECT_EQ(enforced(outlier, EjectionCause::failure_percentage), 1U);
}

TEST(Outlier, SplitRatesHaveTheirOwnEnforcement) {
  OutlierDetection options = by_rate();
  options.split_external_local_origin_errors = true;
  options.enforcing_consecutive_local_origin_failure = 0;
  options.enforcing_success_rate = 0;
  options.enforcing_failure_percentage_local_origin = 0;
  options.enforcing_failure_percentage = 100;
  OutlierDetector outlier = detector(options, 5);
  give_rate(outlier, host(0), 0, 100);
  for (std::uint32_t i = 1; i < 5; ++i)
    give_rate(outlier, host(i), 100, 0);
  EXPECT_TRUE(outlier.on_interval(0));
  EXPECT_EQ(enforced(outlier, EjectionCause::success_rate), 1U);
  EXPECT_EQ(enforced(outlier, EjectionCause::failure_percentage), 0U);
}

}  // namespace
}  // namespace mooring::policy
