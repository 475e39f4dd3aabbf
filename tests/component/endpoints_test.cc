// Which endpoint of a cluster a caller gets, and how many callers an agent takes.
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>

#include <array>
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
  /// The application that a caller has come to: where a round begins is left to chance.
  const UniqueFd& called() {
    std::array<pollfd, 2> waiting{{{app_.get(), POLLIN, 0}, {other_app_.get(), POLLIN, 0}}};
    ::poll(waiting.data(), waiting.size(), 10'000);
    return waiting[0].revents != 0 ? app_ : other_app_;
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
  Call first;
  first.caller = connect_to(outbound_address_);
  const UniqueFd& idle = called();
  first.served = accept_on(idle.get());
  ASSERT_TRUE(first.served.valid());
  const Call kept = call(&idle == &app_ ? other_app_ : app_);
  ASSERT_TRUE(kept.served.valid());
  hang_up(std::move(first));
  for (int i = 0; i < 4; ++i) {  // round robin would go to the other now and then
    Call next = call(idle);
    ASSERT_TRUE(next.served.valid()) << i;
    hang_up(std::move(next));
  }
}

TEST_F(EndpointsTest, OneThatFailedIsReportedAndOneThatIsEjectedIsNotTried) {
  SocketAddress dead;
  listen_on_loopback(dead).reset();
  upstream_.endpoints = {endpoint(dead), endpoint(other_address_)};
  upstream_.connect_attempts = 1;  // so that nothing but the ejection helps
  start();
  const auto& failures = client_.stats().cluster("db", 0).upstream_cx_connect_fail;
  for (int i = 0; i < 2 && failures.value() == 0; ++i) {
    const UniqueFd caller = connect_to(outbound_address_);
    client_.log().wait_for(0);
  }
  std::vector<SocketAddress> reported;
  for (const ControlMessage& message : client_.take_messages()) {
    if (const auto* failed = std::get_if<ConnectFailed>(&message))
      reported.push_back(failed->endpoint);
  }
  EXPECT_EQ(reported, std::vector{dead});
  client_.use("db", {.ejected = {dead}, .failed = {}, .ejections = 1});
  for (int i = 0; i < 4; ++i) {
    const Call next = call(other_app_);
    ASSERT_TRUE(next.served.valid()) << i;
  }
  EXPECT_EQ(failures.value(), 1U);
  EXPECT_EQ(client_.stats().cluster("db", 0).membership_healthy.value(), 1U);
  EXPECT_EQ(client_.stats().cluster("db", 0).ejections_active.value(), 1U);
}

TEST_F(EndpointsTest, OneThatIsSomebodyElseIsPassedOver) {
  config::Service other = service_;
  other.listen = other_address_;
  other.target = other_app_address_;
  other_.use(resources_of(other), ca_.text("spiffe://shop.test/stranger"));
  upstream_.connect_attempts = 2;
  start();
  for (int i = 0; i < 4; ++i) {
    Call next = call(app_);
    ASSERT_TRUE(next.served.valid()) << i;
    send_all(next.caller.get(), "x");
    ::shutdown(next.caller.get(), SHUT_WR);
    EXPECT_EQ(read_all(next.served.get()), "x");
    next.served.reset();
    EXPECT_EQ(client_.log().wait_for(static_cast<std::size_t>(i)).upstream_remote,
              inbound_address_);
  }
  observe::ClusterStats& stats = client_.stats().cluster("db", 0);
  EXPECT_GE(stats.ssl_fail_verify_san.value(), 2U);  // a retry takes a turn of the round
  EXPECT_TRUE(test::wait_until([&] { return stats.upstream_cx_active.value() == 0; }));
}

TEST_F(EndpointsTest, TheLastOneTriedGivesTheReason) {
  SocketAddress dead;
  listen_on_loopback(dead).reset();
  config::Service other = service_;
  other.listen = other_address_;
  other.target = other_app_address_;
  other_.use(resources_of(other), ca_.text("spiffe://shop.test/stranger"));
  upstream_.endpoints = {endpoint(dead), endpoint(other_address_)};
  start();
  for (std::size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(refused(), "RESET");
    const observe::AccessRecord record = client_.log().wait_for(i);
    const bool dead_last = record.upstream_remote == dead;
    EXPECT_EQ(record.reason,
              dead_last ? CloseReason::connect_refused : CloseReason::unexpected_peer);
  }
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
