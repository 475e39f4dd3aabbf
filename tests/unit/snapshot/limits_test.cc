#include "snapshot/limits.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

#include "snapshot/build.h"

namespace mooring::snapshot {
namespace {

int taken(RateLimit& limit, std::uint64_t now_ms) {
  int count = 0;
  while (limit.take(now_ms))
    ++count;
  return count;
}

TEST(RateLimit, BeginsFullAndIsRefilledSteadily) {
  RateLimit limit({.max_tokens = 5, .tokens_per_fill = 2, .fill_interval = Milliseconds(1000)});
  EXPECT_EQ(taken(limit, 10'000), 5);
  EXPECT_EQ(taken(limit, 10'499), 0);
  EXPECT_EQ(taken(limit, 10'500), 1);
  EXPECT_EQ(taken(limit, 12'000), 3);
  EXPECT_EQ(taken(limit, 1'000'000), 5) << "never more than it holds";
}

TEST(RateLimit, HasAllItsTokensWhateverTheyTakeToCome) {
  for (const std::uint32_t tokens : {1U, 2U, 3U, 7U, 1000U}) {
    for (const int interval : {1, 7, 1000, 3'600'000}) {
      RateLimit limit(
          {.max_tokens = tokens, .tokens_per_fill = 3, .fill_interval = Milliseconds(interval)});
      constexpr std::uint64_t kUptime = 123'456'789;
      std::uint32_t got = 0;
      while (got <= tokens && limit.take(kUptime))
        ++got;
      EXPECT_EQ(got, tokens) << interval;
    }
  }
}

TEST(RateLimit, IsOneForAllThreads) {
  RateLimit limit({.max_tokens = 1000, .tokens_per_fill = 1, .fill_interval = Milliseconds(1)});
  std::atomic<int> sum{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i)
    threads.emplace_back([&] { sum += taken(limit, 5'000); });
  for (std::thread& thread : threads)
    thread.join();
  EXPECT_EQ(sum, 1000);
}

TEST(ConnectionCount, LetsInUpToTheLimit) {
  ConnectionCount count;
  EXPECT_TRUE(count.enter(2));
  EXPECT_TRUE(count.enter(2));
  EXPECT_FALSE(count.enter(2));
  count.leave();
  EXPECT_TRUE(count.enter(2));
  EXPECT_FALSE(count.enter(0));
}

/// A listener with one limited chain, and its cluster.
Resources limited() {
  Resources resources;
  resources.listeners.resize(1);
  resources.listeners[0].name = "db";
  resources.listeners[0].chains.resize(1);
  resources.listeners[0].chains[0].clusters = {{"db", 1}};
  resources.listeners[0].chains[0].rate_limits = {
      {.max_tokens = 1, .tokens_per_fill = 1, .fill_interval = Milliseconds(1000)}};
  resources.clusters.resize(1);
  resources.clusters[0].name = "db";
  return resources;
}

TEST(Snapshot, LimitsOutliveAnUpdateOfWhatTheyLimit) {
  Resources resources = limited();
  const SnapshotPtr first = build(resources, nullptr).snapshot;
  resources.listeners[0].chains[0].idle_timeout = Milliseconds(7);
  resources.clusters[0].connect_timeout = Milliseconds(7);
  const SnapshotPtr second = build(resources, first.get()).snapshot;
  const auto rate_limit = [](const SnapshotPtr& snapshot) {
    return snapshot->listeners.back()->parts[0].rate_limits[0];
  };
  EXPECT_NE(first->listeners.back(), second->listeners.back());
  EXPECT_EQ(rate_limit(first), rate_limit(second));
  EXPECT_NE(first->clusters[0], second->clusters[0]);
  EXPECT_EQ(first->clusters[0]->connections, second->clusters[0]->connections);
  resources.listeners[0].chains[0].rate_limits[0].max_tokens = 2;
  EXPECT_NE(rate_limit(second), rate_limit(build(resources, second.get()).snapshot));
}

TEST(Snapshot, ABucketThatNeverHasATokenIsRejected) {
  for (const TokenBucket& bucket : {TokenBucket{0, 1, Milliseconds(1)},
                                    TokenBucket{1, 0, Milliseconds(1)},
                                    TokenBucket{1, 1, Milliseconds(0)}}) {
    Resources resources = limited();
    resources.listeners[0].chains[0].rate_limits = {bucket};
    const Built built = build(resources, nullptr);
    ASSERT_EQ(built.rejected.size(), 1U);
    EXPECT_EQ(built.rejected[0].field, "rate_limits");
  }
}

}  // namespace
}  // namespace mooring::snapshot
