// Which endpoint of a cluster a caller gets, and how many callers an agent takes.
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <string>

#include "support/proxy_pair.h"

namespace mooring::proxy {
namespace {

using observe::CloseReason;
using test::accept_on;
using test::connect_to;
using test::listen_on_loopback;
using test::read_all;
using test::send_all;

/// Where the caller's upstream has two servers, each with an application of its own.
class EndpointsTest : public testing::Test, protected test::ProxyPair {
 protected:
  struct Call {
    UniqueFd caller;
    UniqueFd served;
  };

  EndpointsTest() : other_app_(listen_on_loopback(other_app_address_)) {
    other_.listen("inbound_db", listen_on_loopback(other_address_));
    config::Service other = service_;
    other.listen = other_address_;
    other.target = other_app_address_;
    other_.use(resources_of(other), ca_.text(test::kDb));
    upstream_.endpoints = {endpoint(inbound_address_), endpoint(other_address_)};
  }
  Call call(const UniqueFd& expected) {
    Call made;
    made.caller = connect_to(outbound_address_);
    made.served = accept_on(expected.get());
    return made;
  }
  /// Until both agents have let go of it.
  void hang_up(Call call) {
    const auto& active = client_.stats().cluster("db", 0).upstream_cx_active;
    const std::uint64_t before = active.value();
    ::shutdown(call.caller.get(), SHUT_WR);
    ::shutdown(call.served.get(), SHUT_WR);
    EXPECT_TRUE(test::wait_until([&] { return active.value() == before - 1; }));
  }

  SocketAddress other_app_address_;
  SocketAddress other_address_;
  UniqueFd other_app_;
  test::Agent other_{Milliseconds(20000), 1000};
};

TEST_F(EndpointsTest, TheOneWithFewestConnectionsGetsTheNextCaller) {
  upstream_.lb_policy = config::LbPolicy::least_connections;
  start();
  Call first = call(app_);
  ASSERT_TRUE(first.served.valid());
  const Call kept = call(other_app_);
  ASSERT_TRUE(kept.served.valid());
  hang_up(std::move(first));
  for (int i = 0; i < 4; ++i) {  // round robin would go to the other now and then
    Call next = call(app_);
    ASSERT_TRUE(next.served.valid()) << i;
    hang_up(std::move(next));
  }
}

TEST_F(EndpointsTest, OneThatFailedIsNotTriedByTheNextCallers) {
  SocketAddress dead;
  listen_on_loopback(dead).reset();
  upstream_.endpoints = {endpoint(dead), endpoint(other_address_)};
  upstream_.connect_attempts = 1;  // so that nothing but the ejection helps
  start();
  EXPECT_EQ(refused(), "RESET");
  for (int i = 0; i < 3; ++i) {
    const Call next = call(other_app_);
    ASSERT_TRUE(next.served.valid()) << i;
  }
  EXPECT_EQ(client_.stats().cluster("db", 0).upstream_cx_connect_fail.value(), 1U);
}

class CrowdedTest : public testing::Test, protected test::ProxyPair {
 protected:
  CrowdedTest() : ProxyPair(Milliseconds(1000), 2) {}
};

TEST_F(CrowdedTest, CallersBeyondTheConnectionLimitAreRefusedUntilAnotherEnds) {
  start();
  const UniqueFd one = connect_to(outbound_address_);
  const UniqueFd one_served = accept_on(app_.get());
  UniqueFd two = connect_to(outbound_address_);
  UniqueFd two_served = accept_on(app_.get());
  ASSERT_TRUE(one_served.valid() && two_served.valid());
  EXPECT_EQ(refused(), "RESET");
  EXPECT_EQ(server_.log().wait_for(0).reason, CloseReason::connection_limit);
  EXPECT_EQ(server_.stats().cluster("localhost_db", 0).upstream_cx_overflow.value(), 1U);
  two.reset();
  two_served.reset();
  EXPECT_EQ(server_.log().wait_for(1).id, 2U);
  const UniqueFd third = connect_to(outbound_address_);
  const UniqueFd third_served = accept_on(app_.get());
  ASSERT_TRUE(third_served.valid());
  send_all(third.get(), "x");
  ::shutdown(third.get(), SHUT_WR);
  EXPECT_EQ(read_all(third_served.get()), "x");
}

}  // namespace
}  // namespace mooring::proxy
