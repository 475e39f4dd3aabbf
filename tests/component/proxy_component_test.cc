// The data path with real loops and sockets: see support/proxy_pair.h.
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <string>
#include <thread>
#include <vector>

#include "net/socket.h"
#include "support/proxy_pair.h"

namespace mooring::proxy {
namespace {

using observe::CloseReason;
using test::accept_on;
using test::ask;
using test::connect_to;
using test::kDb;
using test::kWeb;
using test::listen_on_loopback;
using test::read_all;
using test::send_all;

class ProxyTest : public testing::Test, protected test::ProxyPair {};

TEST_F(ProxyTest, RelaysBothWaysAndKeepsHalfClose) {
  start();
  const UniqueFd caller = connect_to(outbound_address_);
  send_all(caller.get(), "question");
  ::shutdown(caller.get(), SHUT_WR);
  const UniqueFd served = accept_on(app_.get());
  EXPECT_EQ(read_all(served.get()), "question");
  send_all(served.get(), "answer after the caller's end");
  ::shutdown(served.get(), SHUT_WR);
  EXPECT_EQ(read_all(caller.get()), "answer after the caller's end");
  const auto inbound = server_.log().wait_for(0);
  EXPECT_EQ(inbound.reason, CloseReason::closed);
  EXPECT_EQ(inbound.peer_identity, kWeb);
  EXPECT_EQ(inbound.local_identity, kDb);
  EXPECT_EQ(inbound.bytes_received, 8U);
  const auto outbound = client_.log().wait_for(0);
  EXPECT_EQ(outbound.reason, CloseReason::closed);
  EXPECT_EQ(outbound.peer_identity, kDb);
  EXPECT_EQ(outbound.tls_version, "TLSv1.3");
}

TEST_F(ProxyTest, ServesAServerThatSpeaksFirst) {
  start();
  const UniqueFd caller = connect_to(outbound_address_);
  const UniqueFd served = accept_on(app_.get());
  send_all(served.get(), "greeting");
  char block[8];
  EXPECT_EQ(::recv(caller.get(), block, sizeof block, MSG_WAITALL), 8);
  EXPECT_EQ(std::string(block, 8), "greeting");
}

TEST_F(ProxyTest, LosesAndReordersNothingInALongStream) {
  start();
  const UniqueFd caller = connect_to(outbound_address_);
  const UniqueFd served = accept_on(app_.get());
  std::string sent(32U << 20U, '\0');
  std::uint32_t state = 1;
  for (char& c : sent)
    c = static_cast<char>((state = state * 1664525U + 1013904223U) >> 24U);
  std::thread echo([&] {
    char block[65536];
    for (ssize_t got = 0; (got = ::recv(served.get(), block, sizeof block, 0)) > 0;) {
      send_all(served.get(), {block, static_cast<std::size_t>(got)});
    }
    ::shutdown(served.get(), SHUT_WR);
  });
  std::thread writer([&] {
    send_all(caller.get(), sent);
    ::shutdown(caller.get(), SHUT_WR);
  });
  EXPECT_TRUE(read_all(caller.get()) == sent);
  writer.join();
  echo.join();
}

TEST_F(ProxyTest, PassesAResetOn) {
  start();
  UniqueFd caller = connect_to(outbound_address_);
  const UniqueFd served = accept_on(app_.get());
  const linger reset{1, 0};
  ::setsockopt(caller.get(), SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
  caller.reset();
  EXPECT_EQ(read_all(served.get()), "RESET");
  EXPECT_EQ(client_.log().wait_for(0).reason, CloseReason::downstream_reset);
}

TEST_F(ProxyTest, RefusesAnIdentityThatNoRuleAllows) {
  service_.allow = {{"spiffe://shop.test/other", false}};
  start();
  EXPECT_EQ(refused(), "RESET");
  const auto record = server_.log().wait_for(0);
  EXPECT_EQ(record.reason, CloseReason::denied);
  EXPECT_EQ(record.peer_identity, kWeb);
  EXPECT_EQ(server_.stats().listener({"inbound_db", ""}, 0).rbac_denied.value(), 1U);
}

TEST_F(ProxyTest, RefusesAServerWithAnotherIdentity) {
  upstream_.spiffe_ids = {{"spiffe://shop.test/other", false}};
  start();
  EXPECT_EQ(refused(), "RESET");
  EXPECT_EQ(client_.log().wait_for(0).reason, CloseReason::unexpected_peer);
}

TEST_F(ProxyTest, RefusesAPeerOfAnotherAuthority) {
  const test::TestCa stranger("shop.test");
  start(stranger.text(kWeb), ca_.text(kDb));
  EXPECT_EQ(refused(), "RESET");
  EXPECT_EQ(client_.log().wait_for(0).reason, CloseReason::peer_untrusted);
}

TEST_F(ProxyTest, RefusesWithoutAnIdentity) {
  start({}, ca_.text(kDb));
  EXPECT_EQ(refused(), "RESET");
  EXPECT_EQ(client_.log().wait_for(0).reason, CloseReason::no_identity);
}

TEST_F(ProxyTest, ACallerThatSpeaksAfterTheRefusalSeesTheReset) {
  start({}, ca_.text(kDb));
  const UniqueFd caller = connect_to(outbound_address_);
  ASSERT_EQ(client_.log().wait_for(0).reason, CloseReason::no_identity);
  pollfd reset{caller.get(), 0, 0};  // POLLHUP comes unasked
  ASSERT_EQ(::poll(&reset, 1, 10'000), 1);
  EXPECT_EQ(ask(caller.get(), "hello"), "RESET");
}

TEST_F(ProxyTest, RefusesPlainTextOnAStrictPort) {
  start();
  const UniqueFd intruder = connect_to(inbound_address_);
  send_all(intruder.get(), "GET / HTTP/1.1\r\n\r\n");
  static_cast<void>(read_all(intruder.get()));
  EXPECT_EQ(server_.log().wait_for(0).reason, CloseReason::plaintext_refused);
}

TEST_F(ProxyTest, ABadRecordAfterTheHandshakeIsNoFailedHandshake) {
  start();
  const UniqueFd caller = connect_to(inbound_address_);
  test::MeshClient client(ca_.material(kWeb));
  send_all(caller.get(), client.hello());
  while (!client.is_established()) {
    char block[65536];
    const ssize_t got = ::recv(caller.get(), block, sizeof block, 0);
    ASSERT_GT(got, 0);
    send_all(caller.get(), client.feed({block, static_cast<std::size_t>(got)}));
  }
  const UniqueFd served = accept_on(app_.get());
  ASSERT_TRUE(served.valid());
  send_all(caller.get(), std::string("\x17\x03\x03\x00\x20", 5) + std::string(32, 'x'));
  EXPECT_EQ(read_all(served.get()), "RESET");
  EXPECT_EQ(server_.log().wait_for(0).reason, CloseReason::tls_error);
}

TEST_F(ProxyTest, ReportsARefusedApplicationAsAReset) {
  app_.reset();
  start();
  EXPECT_EQ(refused(), "RESET");
  EXPECT_EQ(server_.log().wait_for(0).reason, CloseReason::connect_refused);
}

TEST_F(ProxyTest, AnApplicationOnLoopbackDoesNotTakeTheCallerForItsOwnHost) {
  start();
  const UniqueFd caller = connect_to(outbound_address_);
  const UniqueFd served = accept_on(app_.get());
  ASSERT_TRUE(served.valid());
  EXPECT_EQ(net::peer_address(served.get()).value().ip.to_string(), "127.0.0.6");
}

TEST_F(ProxyTest, TriesAnotherEndpointWhenOneRefuses) {
  SocketAddress dead;
  listen_on_loopback(dead).reset();
  upstream_.endpoints = {endpoint(dead), endpoint(inbound_address_)};
  start();
  for (int i = 0; i < 2; ++i) {  // one of the two begins at the one that refuses
    const UniqueFd caller = connect_to(outbound_address_);
    const UniqueFd served = accept_on(app_.get());
    ASSERT_TRUE(served.valid());
  }
  EXPECT_GE(client_.stats().cluster("db", 0).upstream_cx_connect_fail.value(), 1U);
}

TEST_F(ProxyTest, PermissiveTakesPlainTextAndMutualTlsOnOnePort) {
  service_.mode = config::TlsMode::permissive;
  start();
  for (const SocketAddress& way : {inbound_address_, outbound_address_}) {
    const UniqueFd caller = connect_to(way);
    send_all(caller.get(), "hi");
    const UniqueFd served = accept_on(app_.get());
    char block[2];
    EXPECT_EQ(::recv(served.get(), block, 2, MSG_WAITALL), 2);
  }
  EXPECT_EQ(server_.stats().listeners().begin()->second[0].plaintext_accepted.value(), 1U);
}

TEST_F(ProxyTest, PermissiveServerFirstDoesNotWaitForASilentClient) {
  service_.mode = config::TlsMode::permissive;
  service_.server_first = true;
  start();
  const UniqueFd caller = connect_to(inbound_address_);
  const UniqueFd served = accept_on(app_.get());
  ASSERT_TRUE(served.valid());
  send_all(served.get(), "hello");
  char block[5];
  EXPECT_EQ(::recv(caller.get(), block, 5, MSG_WAITALL), 5);
}

TEST_F(ProxyTest, PermissiveWithoutAnIdentityHandsNoMeshTlsToTheApplication) {
  service_.mode = config::TlsMode::permissive;
  start(ca_.text(kWeb), {});
  const UniqueFd caller = connect_to(inbound_address_);
  send_all(caller.get(), test::MeshClient(ca_.material(kWeb)).hello());
  EXPECT_EQ(read_all(caller.get()), "RESET");
  EXPECT_EQ(server_.log().wait_for(0).reason, CloseReason::no_identity);
}

TEST_F(ProxyTest, LateMeshTlsInPiecesNeverReachesTheApplication) {
  service_.mode = config::TlsMode::permissive;
  service_.server_first = true;
  start();
  const UniqueFd caller = connect_to(inbound_address_);
  const UniqueFd served = accept_on(app_.get());  // the peek is over
  ASSERT_TRUE(served.valid());
  const std::string hello = test::MeshClient(ca_.material(kWeb)).hello();
  send_all(caller.get(), std::string_view(hello).substr(0, 50));
  send_all(served.get(), "x");
  char one = 0;
  EXPECT_EQ(::recv(caller.get(), &one, 1, 0), 1);  // so much time has passed
  send_all(caller.get(), std::string_view(hello).substr(50));
  EXPECT_EQ(read_all(caller.get()), "RESET");
  EXPECT_EQ(read_all(served.get()), "RESET");
  EXPECT_EQ(server_.log().wait_for(0).reason, CloseReason::late_tls);
}

TEST_F(ProxyTest, WhatLooksLikeTlsForAWhileGoesOnAsItIs) {
  service_.mode = config::TlsMode::permissive;
  service_.server_first = true;
  start();
  const UniqueFd caller = connect_to(inbound_address_);
  const UniqueFd served = accept_on(app_.get());
  ASSERT_TRUE(served.valid());
  send_all(caller.get(), "\x16\x03");
  ::shutdown(caller.get(), SHUT_WR);
  EXPECT_EQ(read_all(served.get()), "\x16\x03");
}

TEST_F(ProxyTest, SeesTheResetOfACallerThatNothingIsReadFrom) {
  start();
  UniqueFd caller = connect_to(outbound_address_);
  const UniqueFd served = accept_on(app_.get());  // which reads nothing
  const std::string block(1U << 20U, 'x');
  const timeval limit{1, 0};
  ::setsockopt(caller.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  while (::send(caller.get(), block.data(), block.size(), MSG_NOSIGNAL) > 0) {
  }
  const linger reset{1, 0};
  ::setsockopt(caller.get(), SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
  caller.reset();
  EXPECT_EQ(client_.log().wait_for(0).reason, CloseReason::downstream_reset);
}

TEST_F(ProxyTest, EndsPlainConnectionsWhenAServiceBecomesStrict) {
  service_.mode = config::TlsMode::permissive;
  const auto db = ca_.text(kDb);
  start(ca_.text(kWeb), db);
  const UniqueFd plain = connect_to(inbound_address_);
  send_all(plain.get(), "hi");
  const UniqueFd served = accept_on(app_.get());
  ASSERT_TRUE(served.valid());
  service_.mode = config::TlsMode::strict;
  use_server(db);
  EXPECT_EQ(read_all(plain.get()), "RESET");
  EXPECT_EQ(server_.log().wait_for(0).reason, CloseReason::policy_changed);
}

TEST_F(ProxyTest, EndsCallsToAServerThatIsNotExpectedAnyMore) {
  const auto web = ca_.text(kWeb);
  start(web, ca_.text(kDb));
  const UniqueFd caller = connect_to(outbound_address_);
  const UniqueFd served = accept_on(app_.get());
  ASSERT_TRUE(served.valid());
  upstream_.spiffe_ids = {{"spiffe://shop.test/other", false}};
  use_client(web);
  EXPECT_EQ(read_all(caller.get()), "RESET");
  EXPECT_EQ(client_.log().wait_for(0).reason, CloseReason::policy_changed);
}

TEST_F(ProxyTest, EndsOpenConnectionsThatANewPolicyDenies) {
  const auto db = ca_.text(kDb);
  start(ca_.text(kWeb), db);
  const UniqueFd caller = connect_to(outbound_address_);
  const UniqueFd served = accept_on(app_.get());
  service_.allow.clear();
  use_server(db);
  EXPECT_EQ(read_all(caller.get()), "RESET");
  EXPECT_EQ(server_.log().wait_for(0).reason, CloseReason::policy_changed);
}

TEST_F(ProxyTest, ServesABurstOfCallersWithoutRefusingOne) {
  start();
  constexpr std::size_t kCallers = 100;
  std::vector<UniqueFd> callers;
  for (std::size_t i = 0; i < kCallers; ++i) {
    callers.push_back(connect_to(outbound_address_));
    send_all(callers.back().get(), "x");
    ::shutdown(callers.back().get(), SHUT_WR);
  }
  for (std::size_t i = 0; i < kCallers; ++i) {
    const UniqueFd served = accept_on(app_.get());
    ASSERT_TRUE(served.valid()) << i;
    EXPECT_EQ(read_all(served.get()), "x");
  }
  for (std::size_t i = 0; i < kCallers; ++i)
    EXPECT_EQ(read_all(callers[i].get()), "") << i;
}

TEST_F(ProxyTest, WhatAConnectionHeldOfAnOldSnapshotIsFreedByTheControlThread) {
  const auto db = ca_.text(kDb);
  start(ca_.text(kWeb), db);
  UniqueFd caller = connect_to(outbound_address_);
  UniqueFd served = accept_on(app_.get());
  const std::weak_ptr<const snapshot::ListenerPart> old = server_.snapshot().listeners.back();
  service_.deny = {{"spiffe://shop.test/other", false}};
  use_server(db);
  const auto wait_for = [this](auto wanted) {  // drops what else comes
    return test::wait_until([&] {
      for (ControlMessage& message : server_.take_messages()) {
        if (wanted(message)) return true;
      }
      return false;
    });
  };
  EXPECT_TRUE(wait_for(
      [](const ControlMessage& m) { return std::holds_alternative<SnapshotReleased>(m); }));
  EXPECT_FALSE(old.expired()) << "the open connection uses it";
  caller.reset();
  served.reset();
  bool was_alive = false;
  EXPECT_TRUE(wait_for([&](const ControlMessage& m) {
    const auto* parts = std::get_if<SnapshotParts>(&m);
    was_alive = was_alive || !old.expired();
    return parts != nullptr && parts->listener && parts->listener == old.lock();
  }));
  EXPECT_TRUE(was_alive);
  EXPECT_TRUE(old.expired()) << "the message was its last owner";
}

TEST_F(ProxyTest, RotationEndsNothingAndARemovedAnchorDoes) {
  const test::TestCa next("shop.test");
  start();
  const UniqueFd caller = connect_to(outbound_address_);
  const UniqueFd served = accept_on(app_.get());
  use_server(ca_.text(kDb));  // a new key under the same anchor
  send_all(caller.get(), "still");
  char block[5];
  EXPECT_EQ(::recv(served.get(), block, 5, MSG_WAITALL), 5);
  use_server(next.text(kDb));
  EXPECT_EQ(read_all(caller.get()), "RESET");
  EXPECT_EQ(server_.log().wait_for(0).reason, CloseReason::trust_removed);
}

}  // namespace
}  // namespace mooring::proxy
