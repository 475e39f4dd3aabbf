#include "proxy/deadlines.h"

#include <gtest/gtest.h>

#include <vector>

namespace mooring::proxy {
namespace {

struct Site {
  Loop loop;
  std::vector<std::uint64_t> due;
  std::uint64_t last = 0;  // ends the loop
  Deadlines deadlines{loop, [this](std::uint64_t id) {
                        due.push_back(id);
                        if (id == last) loop.stop();
                      }};
};

TEST(Deadlines, ComeInTheirOrderWhateverTheOrderTheyWereAddedIn) {
  Site site;
  site.last = 3;
  const std::uint64_t now = site.loop.now_ms();
  site.deadlines.add(now + 30, 3);
  site.deadlines.add(now + 10, 1);
  site.deadlines.add(now + 20, 2);
  site.loop.run();
  EXPECT_EQ(site.due, (std::vector<std::uint64_t>{1, 2, 3}));
  EXPECT_GE(site.loop.now_ms(), now + 30);
}

TEST(Deadlines, OneThatHasPassedComesInTheNextTurnNotAtOnce) {
  Site site;
  site.last = 7;
  site.deadlines.add(1, 7);
  EXPECT_TRUE(site.due.empty());
  site.loop.run();
  EXPECT_EQ(site.due, (std::vector<std::uint64_t>{7}));
}

TEST(Deadlines, MayBeAddedWhenOneComesUp) {
  Loop loop;
  std::vector<std::uint64_t> due;
  Deadlines* again = nullptr;
  Deadlines deadlines(loop, [&](std::uint64_t id) {
    due.push_back(id);
    if (id == 3) return loop.stop();
    again->add(loop.now_ms() + 1, id + 1);
  });
  again = &deadlines;
  deadlines.add(loop.now_ms(), 1);
  loop.run();
  EXPECT_EQ(due, (std::vector<std::uint64_t>{1, 2, 3}));
}

}  // namespace
}  // namespace mooring::proxy
