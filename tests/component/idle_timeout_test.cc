// What counts as idle, and what does not.
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <string>
#include <thread>

#include "support/proxy_pair.h"

namespace mooring::proxy {
namespace {

using observe::CloseReason;
using test::accept_on;
using test::connect_to;
using test::read_all;
using test::send_all;

class IdleTimeoutTest : public testing::Test, protected test::ProxyPair {
 protected:
  static constexpr std::string_view kHello = "hello";

  /// Both ends of a connection of which the first bytes have arrived.
  void open(Milliseconds idle_timeout) {
    service_.idle_timeout = idle_timeout;
    const int small = 65536;  // so that little of a read makes the kernels move
    ::setsockopt(app_.get(), SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    start();
    caller_ = connect_to(outbound_address_);
    served_ = accept_on(app_.get());
    ASSERT_TRUE(served_.valid());
    send_all(caller_.get(), kHello);
    char block[kHello.size()];
    ASSERT_EQ(::recv(served_.get(), block, sizeof block, MSG_WAITALL),
              static_cast<ssize_t>(sizeof block));
  }
  /// Until no kernel and no agent on the way takes more. Returns how many bytes they took.
  std::size_t fill() {
    const timeval limit{0, 300'000};
    ::setsockopt(caller_.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    const std::string block(65536, 'x');
    std::size_t sent = 0;
    for (ssize_t put = 0;
         (put = ::send(caller_.get(), block.data(), block.size(), MSG_NOSIGNAL)) > 0;)
      sent += static_cast<std::size_t>(put);
    return sent;
  }

  UniqueFd caller_;
  UniqueFd served_;
};

TEST_F(IdleTimeoutTest, CutsAConnectionWithoutTraffic) {
  open(Milliseconds(200));
  EXPECT_EQ(read_all(caller_.get()), "RESET");
  EXPECT_EQ(server_.log().wait_for(0).reason, CloseReason::idle_timeout);
}

TEST_F(IdleTimeoutTest, CutsAConnectionWhoseReaderHasStopped) {
  open(Milliseconds(1000));
  EXPECT_GT(fill(), 0U);
  EXPECT_EQ(server_.log().wait_for(0).reason, CloseReason::idle_timeout);
}

TEST_F(IdleTimeoutTest, LetsASlowReaderTakeItsTime) {
  constexpr Milliseconds kLimit{1000};
  open(kLimit);
  const std::size_t sent = fill();
  ::shutdown(caller_.get(), SHUT_WR);
  std::size_t received = 0;
  std::string block(16384, '\0');
  for (int i = 0; i < 80; ++i) {  // four times the limit, while the agent has enough to send
    std::this_thread::sleep_for(kLimit / 20);
    const ssize_t got = ::recv(served_.get(), block.data(), block.size(), MSG_WAITALL);
    ASSERT_GT(got, 0) << "after " << received << " of " << sent << " bytes";
    received += static_cast<std::size_t>(got);
  }
  EXPECT_EQ(received + read_all(served_.get()).size(), sent);
}

}  // namespace
}  // namespace mooring::proxy
