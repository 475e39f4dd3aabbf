#include "core/address.h"

#include <gtest/gtest.h>

namespace mooring {
namespace {

TEST(SocketAddress, RoundTripsThroughText) {
  for (const char* text : {"10.0.0.1:80", "[fd00::1]:65535", "127.0.0.6:1"}) {
    const auto address = parse_socket_address(text);
    ASSERT_TRUE(address) << text;
    EXPECT_EQ(address->to_string(), text);
    sockaddr_storage raw{};
    EXPECT_GT(address->to_sockaddr(raw), 0U);
    EXPECT_EQ(SocketAddress::from_sockaddr(raw).value(), *address);
  }
}

TEST(SocketAddress, RejectsWhatIsNotAnAddressWithPort) {
  for (const char* text : {"",
                           ":",
                           "10.0.0.1",
                           "10.0.0.1:0",
                           "10.0.0.1:65536",
                           "fd00::1:80",
                           "[fd00::1]",
                           "a:1",
                           "1.2.3.4:+1"}) {
    EXPECT_FALSE(parse_socket_address(text)) << text;
  }
}

TEST(IpAddress, HoldsMappedIpv6AsIpv4) {
  EXPECT_EQ(parse_ip("::ffff:10.1.2.3").value(), parse_ip("10.1.2.3").value());
}

TEST(IpPrefix, RejectsHostBitsAndWrongLengths) {
  for (const char* text :
       {"10.0.0.1/8", "10.0.0.0/33", "fd00::/129", "10.0.0.0/", "10.0.0.0/1x", "10.0.0.0/0008"}) {
    EXPECT_FALSE(parse_prefix(text)) << text;
  }
}

TEST(IpPrefix, ContainsAndOverlapsByBits) {
  const auto block = parse_prefix("10.64.0.0/10").value();
  EXPECT_TRUE(block.contains(parse_ip("10.127.255.255").value()));
  EXPECT_FALSE(block.contains(parse_ip("10.128.0.0").value()));
  EXPECT_FALSE(block.contains(parse_ip("fd00::1").value()));
  EXPECT_TRUE(block.overlaps(parse_prefix("10.0.0.0/8").value()));
  EXPECT_FALSE(block.overlaps(parse_prefix("10.0.0.0/10").value()));
  EXPECT_TRUE(parse_prefix("0.0.0.0/0").value().contains(parse_ip("8.8.8.8").value()));
}

}  // namespace
}  // namespace mooring
