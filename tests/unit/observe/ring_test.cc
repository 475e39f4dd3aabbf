#include "observe/ring.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <set>
#include <thread>
#include <vector>

namespace mooring::observe {
namespace {

TEST(Ring, GivesBackInOrderAndRefusesWhenFull) {
  Ring<int> ring(4);
  for (int i = 0; i < 4; ++i)
    EXPECT_TRUE(ring.push(i));
  int fifth = 4;
  EXPECT_FALSE(ring.push(fifth));
  for (int i = 0; i < 4; ++i)
    EXPECT_EQ(ring.pop(), i);
  EXPECT_EQ(ring.pop(), std::nullopt);
}

TEST(Ring, KeepsAValueThatDoesNotFit) {
  Ring<std::unique_ptr<int>> ring(2);
  for (int i = 0; i < 2; ++i) {
    auto value = std::make_unique<int>(i);
    ASSERT_TRUE(ring.push(value));
  }
  auto third = std::make_unique<int>(2);
  EXPECT_FALSE(ring.push(third));
  ASSERT_TRUE(third);
  EXPECT_EQ(*third, 2);
}

TEST(Ring, LapsManyTimes) {
  Ring<int> ring(2);
  for (int i = 0; i < 1000; ++i) {
    ASSERT_TRUE(ring.push(i));
    ASSERT_EQ(ring.pop(), i);
  }
}

// Two writers, two readers: each value arrives once, and a writer's own values arrive in its order
// at each reader.
TEST(Ring, LosesAndDoublesNothingBetweenThreads) {
  constexpr int kEach = 20000;
  Ring<int> ring(64);
  std::atomic<int> taken{0};
  std::vector<int> got[2];
  std::vector<std::thread> threads;
  for (int writer = 0; writer < 2; ++writer) {
    threads.emplace_back([&ring, writer] {
      for (int i = 0; i < kEach; ++i) {
        int value = writer * kEach + i;
        while (!ring.push(value))
          std::this_thread::yield();
      }
    });
    threads.emplace_back([&ring, &taken, mine = &got[writer]] {
      while (taken.load() < 2 * kEach) {
        if (const auto value = ring.pop()) {
          mine->push_back(*value);
          taken.fetch_add(1);
        } else {
          std::this_thread::yield();
        }
      }
    });
  }
  for (std::thread& thread : threads)
    thread.join();
  std::set<int> all;
  for (const auto& values : got) {
    int last[2] = {-1, -1};
    for (const int value : values) {
      EXPECT_TRUE(all.insert(value).second);
      EXPECT_GT(value, last[value / kEach]);
      last[value / kEach] = value;
    }
  }
  EXPECT_EQ(all.size(), 2U * kEach);
}

}  // namespace
}  // namespace mooring::observe
