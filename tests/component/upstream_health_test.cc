// Health checks and outlier detection of the control thread, on a real loop against real sockets.
#include "proxy/upstream_health.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <map>
#include <thread>

#include "support/proxy_pair.h"

namespace mooring::proxy {
namespace {

using test::accept_on;
using test::listen_on_loopback;
using testing::ElementsAre;
using testing::IsEmpty;

snapshot::HealthCheck check_every(Milliseconds interval) {
  snapshot::HealthCheck check;
  check.interval = interval;
  check.no_traffic_interval = interval;
  check.timeout = Milliseconds(5000);
  return check;
}

snapshot::Cluster cluster_of(const std::vector<SocketAddress>& addresses) {
  snapshot::Cluster cluster;
  cluster.name = "db";
  snapshot::LocalityEndpoints locality;
  for (const SocketAddress& address : addresses) {
    snapshot::LbEndpoint endpoint;
    endpoint.address = address;
    locality.endpoints.push_back(std::move(endpoint));
  }
  cluster.endpoints.localities = {std::move(locality)};
  return cluster;
}

SocketAddress dead_address() {
  SocketAddress address;
  listen_on_loopback(address).reset();
  return address;
}

class UpstreamHealthTest : public testing::Test {
 protected:
  UpstreamHealthTest() {
    std::signal(SIGPIPE, SIG_IGN);
    health_ = std::make_unique<UpstreamHealth>(
        loop_,
        UpstreamHealth::Hooks{
            .to_workers =
                [this](const UseHealth& message) {
                  ++messages_;
                  told_ = message.health ? *message.health : ClusterHealth{};
                },
            .succeeded = [this](const std::string&,
                                const SocketAddress& address) { return succeeded_[address]; },
            .had_traffic = [this](const std::string&) { return had_traffic_; }},
        1);
  }

  void use(snapshot::Cluster cluster, std::vector<snapshot::Secret> secrets = {}) {
    snapshot::Resources resources;
    resources.clusters = {std::move(cluster)};
    resources.secrets = std::move(secrets);
    use(resources);
  }
  void use(const snapshot::Resources& resources) {
    snapshot_ = snapshot::build(resources, snapshot_.get()).snapshot;
    health_->use(snapshot_);
  }
  /// Turns the loop until it is so; false when it was not for ten seconds.
  template <typename Condition>
  bool turn_until(Condition condition) {
    int turns = 0;
    bool is_so = false;
    Timer look(loop_, [&] {
      is_so = condition();
      if (is_so || ++turns > 2000) loop_.stop();
    });
    look.start(Milliseconds(0), Milliseconds(5));
    loop_.run();
    return is_so;
  }
  bool turn_for(Milliseconds time) {
    const auto end = std::chrono::steady_clock::now() + time;
    return turn_until([&] { return std::chrono::steady_clock::now() >= end; });
  }
  void fail(const SocketAddress& address, int times) {
    for (int i = 0; i < times; ++i)
      health_->connect_failed({"db", address});
  }

  Loop loop_;
  std::unique_ptr<UpstreamHealth> health_;  // before the loop is empty
  snapshot::SnapshotPtr snapshot_;
  ClusterHealth told_;
  int messages_ = 0;
  bool had_traffic_ = true;
  std::map<SocketAddress, std::uint64_t> succeeded_;
};

TEST_F(UpstreamHealthTest, OneThatTakesNoConnectionFailsAndComesBack) {
  SocketAddress lives;
  const UniqueFd listening = listen_on_loopback(lives);
  SocketAddress later;
  UniqueFd reserved = listen_on_loopback(later);
  reserved.reset();
  snapshot::Cluster cluster = cluster_of({lives, later});
  cluster.health_checks = {check_every(Milliseconds(20))};
  use(cluster);
  EXPECT_THAT(told_.failed, IsEmpty());  // nothing is known yet
  EXPECT_TRUE(turn_until([&] { return told_.failed == std::vector{later}; }));
  EXPECT_TRUE(health_->seen("db", later).fails_check);
  EXPECT_FALSE(health_->seen("db", lives).fails_check);
  auto again = net::make_listener(later, {.reuse_port = false});
  ASSERT_TRUE(again);
  EXPECT_TRUE(turn_until([&] { return told_.failed.empty(); }));
}

TEST_F(UpstreamHealthTest, OneThatIsAddedIsNotUsedBeforeItWasChecked) {
  SocketAddress first;
  const UniqueFd listening = listen_on_loopback(first);
  SocketAddress second;
  const UniqueFd other = listen_on_loopback(second);
  snapshot::Cluster cluster = cluster_of({first});
  cluster.health_checks = {check_every(Milliseconds(20))};
  use(cluster);
  // A check succeeds where nobody accepts, too: the kernel does.
  ASSERT_TRUE(turn_for(Milliseconds(100)));
  snapshot::Cluster larger = cluster_of({first, second});
  larger.health_checks = cluster.health_checks;
  use(larger);
  EXPECT_THAT(told_.failed, ElementsAre(second));
  EXPECT_TRUE(turn_until([&] { return told_.failed.empty(); }));
}

TEST_F(UpstreamHealthTest, WhatIsExpectedMustCome) {
  SocketAddress address;
  const UniqueFd listening = listen_on_loopback(address);
  snapshot::Cluster cluster = cluster_of({address});
  cluster.health_checks = {check_every(Milliseconds(20))};
  cluster.health_checks[0].send = "PING\n";
  cluster.health_checks[0].receive = {"PO", "NG"};
  std::string asked;
  std::thread server([&] {
    const UniqueFd served = accept_on(listening.get());
    // One connection serves several checks; the third answer is wrong.
    for (const char* answer : {"+PONG\n", "+PONG\n", "NGPO\n"}) {
      char buffer[16];
      const ssize_t got = ::recv(served.get(), buffer, sizeof(buffer), 0);
      if (got > 0) asked.append(buffer, static_cast<std::size_t>(got));
      test::send_all(served.get(), answer);
    }
    ::shutdown(served.get(), SHUT_WR);
  });
  use(cluster);
  EXPECT_TRUE(turn_until([&] { return told_.failed == std::vector{address}; }));
  server.join();
  EXPECT_EQ(asked, "PING\nPING\nPING\n");
}

TEST_F(UpstreamHealthTest, SilenceIsAFailureInTime) {
  SocketAddress address;
  const UniqueFd listening = listen_on_loopback(address);
  snapshot::Cluster cluster = cluster_of({address});
  cluster.health_checks = {check_every(Milliseconds(20))};
  cluster.health_checks[0].timeout = Milliseconds(50);
  cluster.health_checks[0].receive = {"+"};
  use(cluster);
  EXPECT_TRUE(turn_until([&] { return told_.failed == std::vector{address}; }));
}

TEST_F(UpstreamHealthTest, WithoutTrafficChecksAreRare) {
  SocketAddress address = dead_address();
  snapshot::Cluster cluster = cluster_of({address});
  cluster.health_checks = {check_every(Milliseconds(10))};
  cluster.health_checks[0].no_traffic_interval = Milliseconds(60000);
  had_traffic_ = false;
  use(cluster);
  EXPECT_TRUE(turn_until([&] { return told_.failed == std::vector{address}; }));
  const auto listening = net::make_listener(address, {.reuse_port = false});
  ASSERT_TRUE(listening);
  ASSERT_TRUE(turn_for(Milliseconds(100)));
  EXPECT_THAT(told_.failed, ElementsAre(address));  // not looked at again yet
}

TEST_F(UpstreamHealthTest, FailuresOfAllWorkersEjectUntilTimeHasPassed) {
  const SocketAddress one{IpAddress::v4(0x0a000001), 80};
  const SocketAddress two{IpAddress::v4(0x0a000002), 80};
  snapshot::Cluster cluster = cluster_of({one, two});
  cluster.outlier_detection.emplace();
  cluster.outlier_detection->max_ejection_percent = 50;
  cluster.outlier_detection->interval = Milliseconds(10);
  cluster.outlier_detection->base_ejection_time = Milliseconds(50);
  use(cluster);
  fail(one, 4);
  ++succeeded_[one];  // on a worker: the count begins anew
  fail(one, 4);
  EXPECT_THAT(told_.ejected, IsEmpty());
  fail(one, 1);
  EXPECT_THAT(told_.ejected, ElementsAre(one));
  EXPECT_EQ(told_.ejections, 1U);
  EXPECT_TRUE(health_->seen("db", one).is_ejected);
  fail(two, 20);
  EXPECT_THAT(told_.ejected, ElementsAre(one));  // half of them is the most
  EXPECT_TRUE(turn_until([&] { return told_.ejected.empty(); }));
}

TEST_F(UpstreamHealthTest, EndpointsThatStayKeepWhatIsKnown) {
  const SocketAddress one{IpAddress::v4(0x0a000001), 80};
  const SocketAddress two{IpAddress::v4(0x0a000002), 80};
  snapshot::Cluster cluster = cluster_of({one, two});
  cluster.outlier_detection.emplace();
  cluster.outlier_detection->max_ejection_percent = 100;
  use(cluster);
  fail(one, 5);
  snapshot::Cluster other = cluster_of({one});
  other.outlier_detection = cluster.outlier_detection;
  other.connect_timeout = Milliseconds(1);
  use(other);
  EXPECT_THAT(told_.ejected, ElementsAre(one));
  other.outlier_detection->consecutive_5xx = 7;  // other rules: from the beginning
  use(other);
  EXPECT_THAT(told_.ejected, IsEmpty());
  fail(two, 10);  // not of this cluster any more
  EXPECT_THAT(told_.ejected, IsEmpty());
  fail(one, 7);
  use(snapshot::Resources{});
  EXPECT_THAT(told_.ejected, IsEmpty());
  EXPECT_FALSE(health_->seen("db", one).is_ejected);
}

TEST_F(UpstreamHealthTest, ASuccessfulCheckEndsAnEjection) {
  SocketAddress address;
  const UniqueFd listening = listen_on_loopback(address);
  snapshot::Cluster cluster = cluster_of({address});
  cluster.health_checks = {check_every(Milliseconds(20))};
  cluster.outlier_detection.emplace();
  cluster.outlier_detection->max_ejection_percent = 100;
  use(cluster);
  fail(address, 5);
  EXPECT_THAT(told_.ejected, ElementsAre(address));
  EXPECT_TRUE(turn_until([&] { return told_.ejected.empty(); }));
}

/// Endpoints that speak the mesh's TLS.
class SecuredHealthTest : public UpstreamHealthTest, protected test::ProxyPair {
 protected:
  void check(const char* expected) {
    snapshot::Resources resources;
    upstream_.spiffe_ids = {{expected, false}};
    add(resources, upstream_, outbound_address_);
    resources.clusters[0].health_checks = {check_every(Milliseconds(20))};
    resources.secrets = snapshot::secrets_from(ca_.text(test::kWeb));
    use(resources);
  }
};

TEST_F(SecuredHealthTest, ChecksGoThroughTheClustersTls) {
  use_server(ca_.text(test::kDb));
  check(test::kDb);
  const auto& handshakes = server_.stats().listener({"inbound_db", ""}, 0).ssl_handshake;
  EXPECT_TRUE(turn_until([&] { return handshakes.value() >= 2; }));
  EXPECT_THAT(told_.failed, IsEmpty());
  check("spiffe://shop.test/other");
  EXPECT_TRUE(turn_until([&] { return told_.failed == std::vector{inbound_address_}; }));
}

}  // namespace
}  // namespace mooring::proxy
