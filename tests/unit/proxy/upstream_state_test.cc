#include "proxy/upstream_state.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "snapshot/build.h"

namespace mooring::proxy {
namespace {

SocketAddress at(const char* ip) {
  return {*parse_ip(ip), 5432};
}

const SocketAddress kOne = at("10.0.0.1");
const SocketAddress kTwo = at("10.0.0.2");

std::shared_ptr<const snapshot::EndpointsPart> endpoints_of(
    const std::vector<SocketAddress>& addresses) {
  snapshot::LocalityEndpoints locality;
  for (const SocketAddress& address : addresses) {
    snapshot::LbEndpoint endpoint;
    endpoint.address = address;
    locality.endpoints.push_back(std::move(endpoint));
  }
  snapshot::LoadAssignment assignment;
  assignment.localities = {std::move(locality)};
  return std::make_shared<const snapshot::EndpointsPart>(std::move(assignment));
}

snapshot::Cluster db() {
  snapshot::Cluster cluster;
  cluster.name = "db";
  return cluster;
}

std::size_t chosen(UpstreamState& state,
                   const snapshot::EndpointsPtr& endpoints,
                   std::uint64_t now_ms = 0,
                   const std::vector<SocketAddress>& tried = {}) {
  policy::Choice choice;
  return state.choose(db(), *endpoints, tried, now_ms, choice) ? choice.endpoint : 99;
}

TEST(UpstreamState, TakesTurnsAndARetryKeepsTheTurn) {
  UpstreamState state;
  const auto endpoints = endpoints_of({kOne, kTwo});
  EXPECT_EQ(chosen(state, endpoints), 0U);
  EXPECT_EQ(chosen(state, endpoints, 0, {kOne}), 1U);
  EXPECT_EQ(chosen(state, endpoints), 1U);
  EXPECT_EQ(chosen(state, endpoints, 0, {kOne, kTwo}), 99U);
}

TEST(UpstreamState, EjectsLongerWithEachFailureInARow) {
  UpstreamState state;
  const auto endpoints = endpoints_of({kOne, kTwo});
  std::uint64_t now = 1000;
  for (const std::uint64_t span : {2000U, 4000U, 8000U, 16000U, 32000U, 60000U, 60000U}) {
    state.failed("db", endpoints->list.size(), kOne, now);
    EXPECT_TRUE(state.look("db", kOne, now + span - 1).is_ejected) << span;
    EXPECT_FALSE(state.look("db", kOne, now + span).is_ejected) << span;
    now += span;
  }
  EXPECT_EQ(state.ejected("db", *endpoints, now - 1), 1U);
  EXPECT_EQ(chosen(state, endpoints, now - 1), 1U);
  EXPECT_EQ(chosen(state, endpoints, now - 1), 1U);
}

TEST(UpstreamState, SuccessEndsTheEjectionAndItsMemory) {
  UpstreamState state;
  const auto endpoints = endpoints_of({kOne, kTwo});
  state.failed("db", endpoints->list.size(), kOne, 0);
  state.failed("db", endpoints->list.size(), kOne, 0);
  state.succeeded("db", kOne);
  EXPECT_FALSE(state.look("db", kOne, 1).is_ejected);
  state.failed("db", endpoints->list.size(), kOne, 0);
  EXPECT_FALSE(state.look("db", kOne, UpstreamState::kFirstEjectionMs).is_ejected);
}

TEST(UpstreamState, TheOnlyEndpointIsNeverEjected) {
  UpstreamState state;
  const auto endpoints = endpoints_of({kOne});
  state.failed("db", endpoints->list.size(), kOne, 0);
  EXPECT_FALSE(state.look("db", kOne, 1).is_ejected);
}

TEST(UpstreamState, CountsConnections) {
  UpstreamState state;
  state.opened("db", kOne);
  state.opened("db", kOne);
  state.opened("db", kTwo);
  state.closed("db", kOne);
  EXPECT_EQ(state.look("db", kOne, 0).connections, 1U);
  EXPECT_EQ(state.look("db", kTwo, 0).connections, 1U);
  EXPECT_EQ(state.look("other", kOne, 0).connections, 0U);
}

TEST(UpstreamState, ForgetsWhatTheSnapshotLacksOnceNobodyUsesIt) {
  UpstreamState state;
  snapshot::Resources resources;
  resources.clusters = {db()};
  const snapshot::SnapshotPtr snapshot = snapshot::build(resources, nullptr).snapshot;
  state.failed("db", 2, kOne, 0);
  state.failed("db", 2, kTwo, 0);
  state.opened("db", kTwo);
  state.prune(*snapshot);
  EXPECT_FALSE(state.look("db", kOne, 1).is_ejected);
  EXPECT_TRUE(state.look("db", kTwo, 1).is_ejected);
  state.closed("db", kTwo);
  state.prune(*snapshot);
  EXPECT_FALSE(state.look("db", kTwo, 1).is_ejected);
}

// For ThreadSanitizer: the control thread looks while the worker works.
TEST(UpstreamState, IsLookedAtFromAnotherThread) {
  UpstreamState state;
  std::atomic<bool> is_done{false};
  std::uint64_t most = 0;
  std::thread reader([&] {
    while (!is_done.load())
      most = std::max(most, state.look("db", kOne, 0).connections);
  });
  const snapshot::SnapshotPtr empty = snapshot::build({}, nullptr).snapshot;
  const auto endpoints = endpoints_of({kOne, kTwo});
  for (int i = 0; i < 2000; ++i) {
    EXPECT_NE(chosen(state, endpoints), 99U);
    state.opened("db", kOne);
    state.failed("db", endpoints->list.size(), kTwo, 0);
    state.closed("db", kOne);
    state.prune(*empty);
  }
  is_done = true;
  reader.join();
  EXPECT_LE(most, 1U);
}

}  // namespace
}  // namespace mooring::proxy
