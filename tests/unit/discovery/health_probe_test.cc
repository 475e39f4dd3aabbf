#include "discovery/health_probe.h"

#include <gtest/gtest.h>

#include "core/fd.h"
#include "net/socket.h"

namespace mooring::discovery {
namespace {

TEST(HealthJudge, TakesTheFirstOutcomeAtOnce) {
  HealthJudge judge(3, 3);
  EXPECT_EQ(judge.health(), Health::unknown);
  judge.take(Health::healthy);
  EXPECT_EQ(judge.health(), Health::healthy);
  HealthJudge other(3, 3);
  other.take(Health::timed_out);
  EXPECT_EQ(other.health(), Health::timed_out);
}

TEST(HealthJudge, WantsAsManyInARowAsTheThresholdSays) {
  HealthJudge judge(2, 3);
  judge.take(Health::healthy);
  for (const Health outcome : {Health::unhealthy,
                               Health::unhealthy,
                               Health::healthy,
                               Health::unhealthy,
                               Health::timed_out}) {
    judge.take(outcome);
    EXPECT_EQ(judge.health(), Health::healthy);
  }
  judge.take(Health::unhealthy);
  EXPECT_EQ(judge.health(), Health::unhealthy);
  judge.take(Health::healthy);
  EXPECT_EQ(judge.health(), Health::unhealthy);
  judge.take(Health::healthy);
  EXPECT_EQ(judge.health(), Health::healthy);
}

TEST(HealthProbe, FollowsAnApplicationThatComesAndGoes) {
  Loop loop;
  net::StreamPool pool;
  auto listener = net::make_listener({IpAddress::v4(0x7f000001), 0}, {});
  ASSERT_TRUE(listener);
  const SocketAddress address = *net::local_address(listener->get());
  {
    HealthProbe probe(loop, pool, {.address = address, .interval = Milliseconds(10)});
    const auto becomes = [&](Health health) {
      Timer check(loop, [&] {
        if (probe.health() == health) loop.stop();
      });
      Timer limit(loop, [&] { loop.stop(); });
      check.start(Milliseconds(0), Milliseconds(5));
      limit.start(Milliseconds(10'000));
      loop.run();
      return probe.health() == health;
    };
    EXPECT_TRUE(becomes(Health::healthy));
    listener->reset();
    EXPECT_TRUE(becomes(Health::unhealthy));
    listener = net::make_listener(address, {});
    ASSERT_TRUE(listener);
    EXPECT_TRUE(becomes(Health::healthy));
  }
  loop.run();  // ends: nothing of it is left
}

TEST(IsOfThisHost, KnowsItsOwnAddressesAlone) {
  EXPECT_TRUE(is_of_this_host(*parse_ip("127.0.0.1")));
  EXPECT_TRUE(is_of_this_host(*parse_ip("::1")));
  EXPECT_FALSE(is_of_this_host(*parse_ip("192.0.2.1")));  // RFC 5737: nobody's
  EXPECT_FALSE(is_of_this_host(*parse_ip("0.0.0.0")));
}

}  // namespace
}  // namespace mooring::discovery
