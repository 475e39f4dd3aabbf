#include "policy/balancer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <string>

#include "policy/hash.h"

namespace mooring::policy {
namespace {

using snapshot::EndpointsPart;
using snapshot::HealthStatus;
using snapshot::LbPolicy;
using snapshot::LoadAssignment;
using snapshot::LoadBalancing;
using snapshot::LocalityEndpoints;

struct Group {
  std::uint32_t priority = 0;
  std::uint32_t locality_weight = 0;
  std::vector<std::uint32_t> weights;  // of its endpoints
};

// Endpoint i of all is 10.0.x.y:80.
LoadAssignment assignment_of(const std::vector<Group>& groups) {
  LoadAssignment assignment;
  std::uint32_t next = 0x0a000001;
  for (std::size_t i = 0; i < groups.size(); ++i) {
    LocalityEndpoints locality;
    locality.zone = std::to_string(i);
    locality.priority = groups[i].priority;
    locality.weight = groups[i].locality_weight;
    for (const std::uint32_t weight : groups[i].weights) {
      snapshot::LbEndpoint endpoint;
      endpoint.address = SocketAddress{IpAddress::v4(next++), 80};
      endpoint.weight = weight;
      locality.endpoints.push_back(endpoint);
    }
    assignment.localities.push_back(locality);
  }
  return assignment;
}

EndpointsPart endpoints_of(const std::vector<Group>& groups) {
  return EndpointsPart(assignment_of(groups));
}

constexpr std::array<LbPolicy, 5> kPolicies{LbPolicy::round_robin,
                                            LbPolicy::least_request,
                                            LbPolicy::random,
                                            LbPolicy::ring_hash,
                                            LbPolicy::maglev};

LoadBalancing by(LbPolicy policy) {
  LoadBalancing options;
  options.policy = policy;
  return options;
}

std::uint64_t nobody(std::size_t) {
  return 0;
}

struct Counted {
  std::vector<double> of_host;
  double none = 0;
  double panics = 0;
};

Counted count(Balancer& balancer, int picks, const Balancer::ActiveOf& active = nobody) {
  Counted counted;
  counted.of_host.resize(balancer.hosts().size());
  for (int i = 0; i < picks; ++i) {
    const Balancer::Choice choice = balancer.choose({}, active);
    choice.host ? ++counted.of_host[*choice.host] : ++counted.none;
    if (choice.is_panic) ++counted.panics;
  }
  return counted;
}

// Pearson's test: below the bound with a probability of 99.9 % if the picks follow `shares`. The
// seeds are fixed, so that the outcome is too.
void expect_shares(const std::vector<double>& counts, const std::vector<double>& shares) {
  ASSERT_EQ(counts.size(), shares.size());
  double total = 0;
  double of_shares = 0;
  for (std::size_t i = 0; i < counts.size(); ++i) {
    total += counts[i];
    of_shares += shares[i];
  }
  double chi_square = 0;
  double freedom = -1;
  for (std::size_t i = 0; i < counts.size(); ++i) {
    const double expected = total * shares[i] / of_shares;
    if (shares[i] <= 0) {
      EXPECT_EQ(counts[i], 0) << i;
      continue;
    }
    chi_square += (counts[i] - expected) * (counts[i] - expected) / expected;
    ++freedom;
  }
  // Wilson and Hilferty's approximation of the quantile.
  const double part = 2 / (9 * std::max(freedom, 1.0));
  const double bound = std::max(freedom, 1.0) * std::pow(1 - part + 3.0902 * std::sqrt(part), 3);
  EXPECT_LT(chi_square, bound);
}

TEST(Balancer, RoundRobinGoesRound) {
  Balancer balancer(endpoints_of({{0, 0, {1, 1, 1}}}), by(LbPolicy::round_robin), 7);
  for (std::size_t i = 7; i < 20; ++i)
    EXPECT_EQ(balancer.choose({}, nobody).host, i % 3);
}

TEST(Balancer, RoundRobinFollowsWeights) {
  Balancer balancer(endpoints_of({{0, 0, {1, 2, 7}}}), by(LbPolicy::round_robin), 1);
  EXPECT_EQ(count(balancer, 1000).of_host, (std::vector<double>{100, 200, 700}));
}

TEST(Balancer, RandomTakesAllAlikeWhateverTheirWeight) {
  Balancer balancer(endpoints_of({{0, 0, {1, 1, 9, 1, 1}}}), by(LbPolicy::random), 2);
  expect_shares(count(balancer, 10000).of_host, {1, 1, 1, 1, 1});
}

// Of two that are drawn the one with fewer connections: the idlest of n comes as the better of two
// draws, (2n - 1) / n².
TEST(Balancer, LeastRequestTakesTheIdlerOfTwo) {
  Balancer balancer(endpoints_of({{0, 0, {1, 1, 1, 1}}}), by(LbPolicy::least_request), 3);
  const auto active = [](std::size_t host) { return host; };
  expect_shares(count(balancer, 16000, active).of_host, {7, 5, 3, 1});
}

TEST(Balancer, LeastRequestTakesTheIdlestOfAsManyAsItIsTold) {
  LoadBalancing options = by(LbPolicy::least_request);
  options.choice_count = 3;
  Balancer balancer(endpoints_of({{0, 0, {1, 1, 1, 1}}}), options, 4);
  const auto active = [](std::size_t host) { return host; };
  expect_shares(count(balancer, 16000, active).of_host, {37, 19, 7, 1});
}

TEST(Balancer, LeastRequestOfAllTakesTheIdlestAndAllOfThemAlike) {
  LoadBalancing options = by(LbPolicy::least_request);
  options.choice_count = 4000000000U;
  Balancer balancer(endpoints_of({{0, 0, {1, 1, 1, 1}}}), options, 4);
  expect_shares(count(balancer, 100, [](std::size_t host) { return host; }).of_host, {1, 0, 0, 0});
  expect_shares(count(balancer, 1000).of_host, {1, 1, 1, 1});
}

TEST(Balancer, LeastRequestWithWeightsSharesByWeightAndConnections) {
  Balancer balancer(endpoints_of({{0, 0, {4, 1}}}), by(LbPolicy::least_request), 5);
  EXPECT_EQ(count(balancer, 1000).of_host, (std::vector<double>{800, 200}));
  const auto active = [](std::size_t host) { return host == 0 ? 3U : 0U; };
  Counted busy = count(balancer, 1000, active);
  EXPECT_NEAR(busy.of_host[0], 500, 2);
  LoadBalancing unbiased = by(LbPolicy::least_request);
  unbiased.active_request_bias = 0;
  Balancer other(endpoints_of({{0, 0, {4, 1}}}), unbiased, 5);
  EXPECT_NEAR(count(other, 1000, active).of_host[0], 800, 2);
  unbiased.active_request_bias = 2;
  Balancer biased(endpoints_of({{0, 0, {4, 1}}}), unbiased, 5);
  EXPECT_NEAR(count(biased, 1000, active).of_host[0], 200, 2);
}

TEST(Balancer, HashingWithoutAHashIsRandomByWeight) {
  for (const LbPolicy policy : {LbPolicy::ring_hash, LbPolicy::maglev}) {
    LoadBalancing options = by(policy);
    options.minimum_ring_size = 200000;
    Balancer balancer(endpoints_of({{0, 0, {1, 2, 5}}}), options, 6);
    EXPECT_THAT(
        count(balancer, 8000).of_host,
        testing::Pointwise(testing::DoubleNear(200), std::vector<double>{1000, 2000, 5000}));
  }
}

TEST(Balancer, TheSameHashFindsTheSameEndpoint) {
  for (const LbPolicy policy : {LbPolicy::ring_hash, LbPolicy::maglev}) {
    Balancer balancer(endpoints_of({{0, 0, std::vector<std::uint32_t>(50, 1)}}), by(policy), 1);
    Balancer other(endpoints_of({{0, 0, std::vector<std::uint32_t>(50, 1)}}), by(policy), 99);
    for (int i = 0; i < 100; ++i) {
      Balancer::Request request;
      request.hash = xx_hash64("10.1.2." + std::to_string(i));  // Envoy's hash of a source address
      const std::optional<std::size_t> host = balancer.choose(request, nobody).host;
      ASSERT_TRUE(host);
      EXPECT_EQ(other.choose(request, nobody).host, host);
    }
  }
}

TEST(Balancer, AnInvalidTableSizeIsNotFollowed) {
  LoadBalancing options = by(LbPolicy::maglev);
  for (const std::uint64_t size : {0U, 65536U}) {
    options.maglev_table_size = size;
    Balancer balancer(endpoints_of({{0, 0, {1, 1}}}), options, 1);
    EXPECT_TRUE(balancer.choose({}, nobody).host);
  }
}

TEST(Balancer, UnhealthyEndpointsAreLeftOut) {
  LoadAssignment assignment = assignment_of({{0, 0, {1, 1, 1, 1}}});
  assignment.localities[0].endpoints[1].health = HealthStatus::unhealthy;
  for (const LbPolicy policy : kPolicies) {
    Balancer balancer(EndpointsPart(assignment), by(policy), 8);
    balancer.set_usable(3, false);
    const Counted counted = count(balancer, 400);
    EXPECT_EQ(counted.of_host[1] + counted.of_host[3], 0);
    EXPECT_GT(counted.of_host[0], 100);
    EXPECT_EQ(counted.panics, 0);
    balancer.set_usable(3, true);
    EXPECT_GT(count(balancer, 400).of_host[3], 60);
  }
}

TEST(Balancer, HealthDoesNotDisturbTheRound) {
  Balancer balancer(endpoints_of({{0, 0, {1, 1, 1, 1, 1}}}), by(LbPolicy::round_robin), 0);
  (void)balancer.choose({}, nobody);
  balancer.set_usable(4, false);
  EXPECT_EQ(balancer.choose({}, nobody).host, 1U);
  EXPECT_EQ(balancer.choose({}, nobody).host, 2U);
}

// One of three is healthy.
Counted count_with_one_healthy(const LoadBalancing& options) {
  Balancer balancer(endpoints_of({{0, 0, {1, 1, 1}}}), options, 0);
  balancer.set_usable(0, false);
  balancer.set_usable(1, false);
  return count(balancer, 300);
}

TEST(Balancer, InPanicAllAreChosenOrNone) {
  LoadBalancing options = by(LbPolicy::round_robin);
  Counted counted = count_with_one_healthy(options);
  EXPECT_EQ(counted.of_host, (std::vector<double>{100, 100, 100}));
  EXPECT_EQ(counted.panics, 300);
  options.panic_threshold_percent = 30;
  counted = count_with_one_healthy(options);
  EXPECT_EQ(counted.of_host, (std::vector<double>{0, 0, 300}));
  EXPECT_EQ(counted.panics, 0);
  options.panic_threshold_percent = 50;
  options.fail_traffic_on_panic = true;
  counted = count_with_one_healthy(options);
  EXPECT_EQ(counted.none, 300);
  EXPECT_EQ(counted.panics, 300);
}

TEST(Balancer, HashingInPanicKnowsNoFailing) {
  for (const LbPolicy policy : {LbPolicy::ring_hash, LbPolicy::maglev}) {
    LoadBalancing options = by(policy);
    options.fail_traffic_on_panic = true;
    Balancer balancer(endpoints_of({{0, 0, {1, 1, 1}}}), options, 0);
    for (std::size_t i = 0; i < 3; ++i)
      balancer.set_usable(i, false);
    const Counted counted = count(balancer, 3000);
    EXPECT_EQ(counted.none, 0);
    EXPECT_EQ(counted.panics, 3000);
    EXPECT_GT(counted.of_host[2], 700);
  }
}

TEST(Balancer, WithoutPanicNobodyIsChosenOfTheDead) {
  LoadBalancing options = by(LbPolicy::round_robin);
  options.panic_threshold_percent = 0;
  Balancer balancer(endpoints_of({{0, 0, {1, 1}}}), options, 0);
  balancer.set_usable(0, false);
  EXPECT_EQ(count(balancer, 100).of_host, (std::vector<double>{0, 100}));
  balancer.set_usable(1, false);
  EXPECT_EQ(count(balancer, 100).none, 100);
}

TEST(Balancer, TrafficMovesToTheNextPriorityAsHealthFalls) {
  Balancer balancer(
      endpoints_of({{0, 0, {1, 1, 1, 1}}, {1, 0, {1, 1}}}), by(LbPolicy::round_robin), 9);
  expect_shares(count(balancer, 1000).of_host, {1, 1, 1, 1, 0, 0});
  balancer.set_usable(0, false);
  expect_shares(count(balancer, 1000).of_host, {0, 1, 1, 1, 0, 0});
  balancer.set_usable(1, false);
  expect_shares(count(balancer, 10000).of_host, {0, 0, 35, 35, 15, 15});
  for (const std::size_t host : {2U, 3U})
    balancer.set_usable(host, false);
  expect_shares(count(balancer, 1000).of_host, {0, 0, 0, 0, 1, 1});
}

TEST(Balancer, APriorityThatIsPassedOverIsEmpty) {
  Balancer balancer(endpoints_of({{1, 0, {1, 1}}}), by(LbPolicy::round_robin), 0);
  expect_shares(count(balancer, 100).of_host, {1, 1});
}

TEST(Balancer, DegradedEndpointsHelpOut) {
  LoadAssignment assignment = assignment_of({{0, 0, {1, 1, 1, 1}}});
  assignment.overprovisioning_percent = 100;
  assignment.localities[0].endpoints[3].health = HealthStatus::degraded;
  Balancer balancer(EndpointsPart(assignment), by(LbPolicy::round_robin), 10);
  expect_shares(count(balancer, 10000).of_host, {1, 1, 1, 1});
  balancer.set_usable(3, false);
  EXPECT_EQ(balancer.health(3), HostHealth::unhealthy);
  expect_shares(count(balancer, 999).of_host, {1, 1, 1, 0});
}

TEST(Balancer, DrainingEndpointsGetNothingAndDoNotCount) {
  LoadAssignment assignment = assignment_of({{0, 0, {1, 1, 1}}, {1, 0, {1}}});
  assignment.localities[0].endpoints[0].health = HealthStatus::draining;
  assignment.localities[0].endpoints[1].health = HealthStatus::draining;
  Balancer balancer(EndpointsPart(assignment), by(LbPolicy::round_robin), 11);
  balancer.set_usable(0, false);
  EXPECT_EQ(balancer.health(0), HostHealth::draining);
  const Counted counted = count(balancer, 100);
  EXPECT_EQ(counted.of_host, (std::vector<double>{0, 0, 100, 0}));
  EXPECT_EQ(counted.panics, 0);
}

TEST(Balancer, LocalitiesShareByTheirWeights) {
  LoadBalancing options = by(LbPolicy::round_robin);
  const LoadAssignment assignment =
      assignment_of({{0, 80, {1, 1}}, {0, 20, {1, 1, 1, 1}}, {0, 0, {1}}});
  Balancer flat(EndpointsPart(assignment), options, 12);
  expect_shares(count(flat, 7000).of_host, {1, 1, 1, 1, 1, 1, 1});
  options.locality_weighted = true;
  Balancer weighted(EndpointsPart(assignment), options, 12);
  expect_shares(count(weighted, 8000).of_host, {8, 8, 1, 1, 1, 1, 0});
  // Half of a locality is healthy: 140 % of a half of its weight.
  weighted.set_usable(0, false);
  expect_shares(count(weighted, 7600).of_host, {0, 56, 5, 5, 5, 5, 0});
}

TEST(Balancer, HashingHasLocalityWeightsInItsShares) {
  for (const LbPolicy policy : {LbPolicy::ring_hash, LbPolicy::maglev}) {
    LoadBalancing options = by(policy);
    options.locality_weighted = true;
    options.minimum_ring_size = 200000;
    Balancer balancer(endpoints_of({{0, 3, {1, 2}}, {0, 1, {1, 1}}, {0, 0, {1}}}), options, 13);
    EXPECT_THAT(count(balancer, 8000).of_host,
                testing::Pointwise(testing::DoubleNear(200),
                                   std::vector<double>{2000, 4000, 1000, 1000, 0}));
  }
}

TEST(Balancer, LocalitiesWithoutWeightsAreNotWeighted) {
  LoadBalancing options = by(LbPolicy::round_robin);
  options.locality_weighted = true;
  Balancer balancer(endpoints_of({{0, 0, {1}}, {0, 0, {1, 1}}}), options, 14);
  expect_shares(count(balancer, 300).of_host, {1, 1, 1});
}

// One connection's choices until nobody is left.
std::vector<std::size_t> choose_all(Balancer& balancer) {
  std::vector<SocketAddress> tried;
  std::vector<std::size_t> chosen;
  for (std::size_t i = 0; i <= balancer.hosts().size(); ++i) {
    Balancer::Request request;
    request.tried = tried;
    const Balancer::Choice choice = balancer.choose(request, nobody);
    if (!choice.host) break;
    chosen.push_back(*choice.host);
    tried.push_back(balancer.hosts()[*choice.host].address);
  }
  return chosen;
}

TEST(Balancer, WhatWasTriedIsNotChosenAgain) {
  std::vector<std::size_t> all_but_seven(40);
  std::iota(all_but_seven.begin(), all_but_seven.end(), 0U);
  all_but_seven.erase(all_but_seven.begin() + 7);
  for (const LbPolicy policy : kPolicies) {
    Balancer balancer(endpoints_of({{0, 0, std::vector<std::uint32_t>(40, 1)}}), by(policy), 15);
    balancer.set_usable(7, false);
    for (int round = 0; round < 20; ++round) {
      std::vector<std::size_t> chosen = choose_all(balancer);
      std::sort(chosen.begin(), chosen.end());
      EXPECT_EQ(chosen, all_but_seven);
    }
  }
}

TEST(Balancer, ARetryFindsTheOtherPriorityWhenItsOwnIsTried) {
  Balancer balancer(endpoints_of({{0, 0, {1}}, {1, 0, {1}}}), by(LbPolicy::round_robin), 16);
  const std::vector<SocketAddress> tried{balancer.hosts()[0].address};
  Balancer::Request request;
  request.tried = tried;
  EXPECT_EQ(balancer.choose(request, nobody).host, 1U);
}

TEST(Balancer, ManyEndpointsCostNoMoreThanFew) {
  Balancer balancer(endpoints_of({{0, 0, std::vector<std::uint32_t>(10000, 1)}}),
                    by(LbPolicy::least_request),
                    17);
  std::size_t asked = 0;
  const auto active = [&](std::size_t) {
    ++asked;
    return std::uint64_t{0};
  };
  (void)count(balancer, 1000, active);
  EXPECT_EQ(asked, 2000U);
}

TEST(Balancer, OfNoEndpointsChoosesNone) {
  Balancer nothing(endpoints_of({}), by(LbPolicy::round_robin), 0);
  EXPECT_FALSE(nothing.choose({}, nobody).host);
  for (const LbPolicy policy : {LbPolicy::round_robin, LbPolicy::ring_hash, LbPolicy::maglev}) {
    Balancer empty(endpoints_of({{0, 1, {}}}), by(policy), 0);
    EXPECT_FALSE(empty.choose({}, nobody).host);
  }
}

}  // namespace
}  // namespace mooring::policy
