// A peer that asks for new keys again and again, each of which is answered, and reads no answer.
#include <gtest/gtest.h>
#include <sys/socket.h>

#include "support/proxy_pair.h"
#include "support/raw_peer.h"

namespace mooring {
namespace {

using observe::CloseReason;

class KeyUpdates : public ::testing::Test, public test::ProxyPair {};

TEST_F(KeyUpdates, ThatNobodyReadsTheAnswersOfEndTheConnection) {
  start();
  const UniqueFd caller = test::connect_to(inbound_address_);
  const int small = 4096;
  ::setsockopt(caller.get(), SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
  test::RawPeer peer(tls::Role::client, ca_.issue(test::kWeb));
  SSL_set_fd(peer.ssl(), caller.get());
  ASSERT_EQ(SSL_connect(peer.ssl()), 1);
  const UniqueFd served = test::accept_on(app_.get());
  ASSERT_TRUE(served.valid());
  // A byte goes with each: libssl ends a run of 32 requests without one by itself.
  constexpr int kEnough = 2'000'000;
  int asked = 0;
  char taken[4096];
  while (asked < kEnough && SSL_key_update(peer.ssl(), SSL_KEY_UPDATE_REQUESTED) == 1 &&
         SSL_write(peer.ssl(), "x", 1) == 1) {
    ++asked;
    static_cast<void>(::recv(served.get(), taken, sizeof taken, MSG_DONTWAIT));
  }
  EXPECT_LT(asked, kEnough);
  const auto line = server_.log().wait_for(0);
  EXPECT_EQ(line.reason, CloseReason::tls_error);
  EXPECT_EQ(line.detail, "the peer asks for new keys and reads nothing");
}

}  // namespace
}  // namespace mooring
