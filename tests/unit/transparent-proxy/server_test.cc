#include "transparent-proxy/helper/server.h"

#include <gtest/gtest.h>

namespace mooring::transparent_proxy {
namespace {

using namespace capture_client;

constexpr uid_t kAgentUid = 998;
constexpr uid_t kStranger = 1000;

bool may(const Body& request, uid_t uid) {
  return check_permission(request, uid, kAgentUid).has_value();
}

TEST(Permission, FollowsTheTable) {
  struct Row {
    Body request;
    bool root;
    bool agent;
    bool stranger;
  };
  const Row rows[] = {{Hello{Role::tool, ""}, true, true, true},
                      {Hello{Role::agent, ""}, false, true, false},
                      {SetPlan{}, true, false, false},
                      {Activate{}, true, true, false},
                      {Narrow{}, true, true, false},
                      {Drop{}, true, true, false},
                      {GetListeners{}, true, true, false},
                      {GetStatus{}, true, true, true},
                      {Pong{}, false, true, false},
                      {Done{}, false, false, false},
                      {Owner{}, false, false, false},
                      {Status{}, false, false, false}};
  for (const Row& row : rows) {
    EXPECT_EQ(may(row.request, 0), row.root) << row.request.index();
    EXPECT_EQ(may(row.request, kAgentUid), row.agent) << row.request.index();
    EXPECT_EQ(may(row.request, kStranger), row.stranger) << row.request.index();
  }
}

TEST(Liveness, DiesOfUnansweredPings) {
  Liveness liveness;
  for (unsigned i = 0; i < Liveness::kMaxUnanswered; ++i) {
    liveness.ping();
    EXPECT_FALSE(liveness.is_dead()) << i;
  }
  const std::uint64_t nonce = liveness.ping();
  EXPECT_TRUE(liveness.is_dead());
  EXPECT_TRUE(liveness.pong(nonce)) << "the end of a stall";
  EXPECT_FALSE(liveness.is_dead());
  EXPECT_FALSE(liveness.pong(nonce));
}

TEST(Liveness, WhatOpensOnAStallIsOpenWithinFiveSeconds) {
  EXPECT_LT(Liveness::kPingEvery * (Liveness::kMaxUnanswered + 1), Milliseconds{4501});
}

TEST(Liveness, IgnoresAnswersThatNobodyAskedFor) {
  Liveness liveness;
  for (int i = 0; i < 20; ++i)
    liveness.ping();
  EXPECT_FALSE(liveness.pong(1000));
  EXPECT_TRUE(liveness.is_dead());
}

}  // namespace
}  // namespace mooring::transparent_proxy
