// How many TLS handshakes may be under way, and for how long.
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <string>
#include <vector>

#include "support/proxy_pair.h"

namespace mooring::proxy {
namespace {

using observe::CloseReason;
using test::accept_on;
using test::connect_to;
using test::kDb;
using test::kWeb;
using test::listen_on_loopback;
using test::read_all;
using test::send_all;

class HandshakeLimitTest : public testing::Test, protected test::ProxyPair {};

/// Whose server gives its peers long to finish a handshake.
class PatientHandshakeLimitTest : public testing::Test, protected test::ProxyPair {
 protected:
  PatientHandshakeLimitTest() : ProxyPair(Milliseconds(20000)) {}
};

TEST_F(HandshakeLimitTest, EndsASilentHandshakeInTime) {
  start();
  const UniqueFd silent = connect_to(inbound_address_);
  static_cast<void>(read_all(silent.get()));
  EXPECT_EQ(server_.log().wait_for(0).reason, CloseReason::handshake_timeout);
}

TEST_F(HandshakeLimitTest, PeersBeyondTheHandshakeLimitWaitUntilAStalledOneIsGone) {
  start();
  std::vector<UniqueFd> silent;
  silent.reserve(kMaxHandshakes);
  for (std::uint32_t i = 0; i < kMaxHandshakes; ++i)
    silent.push_back(connect_to(inbound_address_));
  const UniqueFd caller = connect_to(outbound_address_);
  const UniqueFd served = accept_on(app_.get());
  ASSERT_TRUE(served.valid());
  for (std::uint32_t i = 0; i < kMaxHandshakes; ++i)
    EXPECT_EQ(server_.log().wait_for(i).reason, CloseReason::handshake_timeout);
}

TEST_F(PatientHandshakeLimitTest, PeersThatStallAHandshakeMakeRoomForOthers) {
  start();
  std::vector<UniqueFd> silent;
  silent.reserve(3 * kMaxHandshakes);
  for (std::uint32_t i = 0; i < 3 * kMaxHandshakes; ++i)
    silent.push_back(connect_to(inbound_address_));
  const UniqueFd caller = connect_to(outbound_address_);
  const UniqueFd served = accept_on(app_.get());
  ASSERT_TRUE(served.valid()) << "long before the handshakes' timeout";
  EXPECT_EQ(server_.log().wait_for(0).reason, CloseReason::handshake_timeout);
}

TEST_F(HandshakeLimitTest, ASilentUpstreamTakesABoundedPartOfTheHandshakes) {
  start();
  SocketAddress silent_address;
  SocketAddress to_silent;
  SocketAddress to_db;
  const UniqueFd silent = listen_on_loopback(silent_address);  // whose kernel takes all, no more
  test::Agent caller(Milliseconds(20000), kMaxHandshakes);
  caller.listen("outbound_silent", listen_on_loopback(to_silent));
  caller.listen("outbound_db", listen_on_loopback(to_db));
  snapshot::Resources resources;
  config::Upstream to_nobody = upstream_;
  to_nobody.name = "silent";
  to_nobody.endpoints = {endpoint(silent_address)};
  add(resources, to_nobody, to_silent);
  add(resources, upstream_, to_db);
  caller.use(std::move(resources), ca_.text(kWeb));
  std::vector<UniqueFd> stalled;
  stalled.reserve(3 * kMaxHandshakes);
  for (std::uint32_t i = 0; i < 3 * kMaxHandshakes; ++i)
    stalled.push_back(connect_to(to_silent));
  const auto& taken = caller.stats().listener({"outbound_silent", ""}, 0).downstream_cx_total;
  ASSERT_TRUE(test::wait_until([&] { return taken.value() == stalled.size(); }));
  const UniqueFd good = connect_to(to_db);
  const UniqueFd served = accept_on(app_.get());
  EXPECT_TRUE(served.valid()) << "long before the handshakes' timeout";
  // Kept open: one that is closed makes room for the next.
  std::vector<UniqueFd> reached;
  for (;;) {
    UniqueFd one(::accept4(silent.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!one.valid()) break;
    reached.push_back(std::move(one));
  }
  EXPECT_EQ(reached.size(), kMaxHandshakes / 2) << "the place is taken before the connect";
}

TEST_F(PatientHandshakeLimitTest, AnAnchorRemovedDuringTheHandshakeVerifiesNobody) {
  const test::TestCa next("shop.test");
  start();
  const UniqueFd caller = connect_to(inbound_address_);
  test::MeshClient client(ca_.material(kWeb));
  send_all(caller.get(), client.hello());
  std::string answer;
  while (answer.empty()) {
    char block[65536];
    const ssize_t got = ::recv(caller.get(), block, sizeof block, 0);
    ASSERT_GT(got, 0);
    answer = client.feed({block, static_cast<std::size_t>(got)});
  }
  use_server(next.text(kDb));
  ASSERT_TRUE(server_.wait_for_release());
  send_all(caller.get(), answer);
  EXPECT_TRUE(read_all(caller.get()).ends_with("RESET"));
  EXPECT_EQ(server_.log().wait_for(0).reason, CloseReason::trust_removed);
}

}  // namespace
}  // namespace mooring::proxy
