#include "dns/resolvers.h"

#include <gtest/gtest.h>

namespace mooring::dns {

namespace {

TEST(ParseResolvConf, TakesNameserversInTheirOrder) {
  const auto resolvers = parse_resolv_conf(
      "# made by hand\n"
      "search example.test\n"
      "nameserver 10.0.0.53\n"
      "  nameserver\t2001:db8::53 \n"
      "options edns0\r\n"
      "nameserver 127.0.0.53");
  ASSERT_EQ(resolvers.size(), 3U);
  EXPECT_EQ(resolvers[0].to_string(), "10.0.0.53:53");
  EXPECT_EQ(resolvers[1].to_string(), "[2001:db8::53]:53");
  EXPECT_EQ(resolvers[2].to_string(), "127.0.0.53:53");
}

TEST(ParseResolvConf, LeavesOutWhatItCannotAsk) {
  EXPECT_TRUE(parse_resolv_conf("").empty());
  EXPECT_TRUE(
      parse_resolv_conf("nameserver\nnameservers 10.0.0.1\nnameserver fe80::1%eth0\n").empty());
  EXPECT_TRUE(parse_resolv_conf(";nameserver 10.0.0.1\n#nameserver 10.0.0.1\n").empty());
}

TEST(ParseResolvConf, StopsAtThree) {
  EXPECT_EQ(parse_resolv_conf("nameserver 10.0.0.1\nnameserver 10.0.0.2\nnameserver 10.0.0.3\n"
                              "nameserver 10.0.0.4\n")
                .size(),
            kMaxResolvers);
}

}  // namespace

}  // namespace mooring::dns
