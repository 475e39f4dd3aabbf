#include "app/sink_hosts.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <array>

#include "net/socket.h"
#include "support.h"

namespace mooring::app {
namespace {

TEST(SinkHosts, AnswerWhatTheAccessLogWaitsFor) {
  const auto collector = net::make_listener({IpAddress::v4_loopback(), 0}, {});
  ASSERT_TRUE(collector);
  const std::string port = std::to_string(net::local_address(collector->get())->port);
  Loop loop;
  const auto access_log = observe::AccessLog::make({});
  ASSERT_TRUE(access_log);
  const SinkHosts hosts(loop, **access_log);
  observe::AccessRecord record;
  record.sinks.push_back({"/run/kuma-al-web-default.sock",
                          "",
                          R"({"address":"localhost:)" + port + R"(","message":"m"})",
                          false});
  ASSERT_TRUE((*access_log)->log(std::move(record)));
  ASSERT_TRUE(run_until(loop, [&] { return (*access_log)->written() == 1; }));
  const UniqueFd taken(::accept(collector->get(), nullptr, nullptr));
  ASSERT_GE(taken.get(), 0);
  std::array<char, 8> line{};
  ASSERT_EQ(::recv(taken.get(), line.data(), line.size(), 0), 2);
  EXPECT_EQ(std::string(line.data()), "m\n");
}

}  // namespace
}  // namespace mooring::app
