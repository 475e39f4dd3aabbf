#include "discovery/refusing_listener.h"

#include <gtest/gtest.h>

#include "xdsapi/listener.pb.h"

namespace mooring::discovery {
namespace {

using Message = envoy::config::listener::v3::Listener;

Message message_at(const std::string& ip, std::uint32_t port) {
  Message message;
  message.set_name("l");
  message.mutable_address()->mutable_socket_address()->set_address(ip);
  message.mutable_address()->mutable_socket_address()->set_port_value(port);
  return message;
}
std::optional<snapshot::Listener> made(const Message& message) {
  return make_refusing_listener(message.SerializeAsString(), "why");
}

TEST(RefusingListener, TakesTheAddressAndServesNothing) {
  const auto listener = made(message_at("10.0.0.1", 80));
  ASSERT_TRUE(listener);
  EXPECT_EQ(listener->name, "l");
  EXPECT_EQ(listener->direction, snapshot::Direction::outbound);
  EXPECT_EQ(listener->bind, (SocketAddress{IpAddress::v4(0x0a000001), 80}));
  ASSERT_EQ(listener->chains.size(), 1U);
  EXPECT_EQ(listener->chains[0].not_served, "why");
}

TEST(RefusingListener, TakesCapturedConnections) {
  Message message = message_at("10.0.0.1", 80);
  message.mutable_bind_to_port()->set_value(false);
  message.set_traffic_direction(envoy::config::core::v3::INBOUND);
  const auto listener = made(message);
  ASSERT_TRUE(listener);
  EXPECT_EQ(listener->direction, snapshot::Direction::inbound);
  EXPECT_FALSE(listener->bind);
  ASSERT_EQ(listener->match.size(), 1U);
  EXPECT_EQ(listener->match[0], (snapshot::DestinationMatch{{IpAddress::v4(0x0a000001), 32}, 80}));
}

TEST(RefusingListener, TakesAllOfADirectionWhereTheListenerDid) {
  Message message = message_at("::", 15001);
  message.mutable_use_original_dst()->set_value(true);
  const auto listener = made(message);
  ASSERT_TRUE(listener);
  ASSERT_EQ(listener->match.size(), 1U);
  EXPECT_EQ(listener->match[0].prefix.length, 0);
  EXPECT_EQ(listener->match[0].port, 0);
}

TEST(RefusingListener, ReadsWhatComesBeforeTheBreak) {
  const std::string bytes = message_at("10.0.0.1", 80).SerializeAsString() + "\xff\xff";
  const auto listener = make_refusing_listener(bytes, "why");
  ASSERT_TRUE(listener);
  EXPECT_TRUE(listener->bind);
}

TEST(RefusingListener, IsNoneWithoutAnAddress) {
  EXPECT_FALSE(make_refusing_listener("", ""));
  EXPECT_FALSE(make_refusing_listener("\xff\xff", ""));
  EXPECT_FALSE(made(message_at("name", 80)));
  EXPECT_FALSE(made(message_at("10.0.0.1", 0)));
  EXPECT_FALSE(made(message_at("10.0.0.1", 65536)));
}

}  // namespace
}  // namespace mooring::discovery
