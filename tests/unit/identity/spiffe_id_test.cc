#include "identity/spiffe_id.h"

#include <gtest/gtest.h>

#include <string>

namespace mooring::identity {
namespace {

TEST(SpiffeId, SplitsIntoTrustDomainAndPath) {
  const auto id = SpiffeId::parse("spiffe://shop.example/ns/web_1/sa.A-b");
  ASSERT_TRUE(id);
  EXPECT_EQ(id->text(), "spiffe://shop.example/ns/web_1/sa.A-b");
  EXPECT_EQ(id->trust_domain(), "shop.example");
  EXPECT_EQ(id->path(), "/ns/web_1/sa.A-b");
  const auto bare = SpiffeId::parse("spiffe://shop.example");
  ASSERT_TRUE(bare);
  EXPECT_EQ(bare->trust_domain(), "shop.example");
  EXPECT_EQ(bare->path(), "");
}

TEST(SpiffeId, RefusesWhatTheSpecificationRefuses) {
  for (const char* text : {"",
                           "spiffe:",
                           "spiffe://",
                           "spiffe:///path",
                           "SPIFFE://a/b",
                           "http://a/b",
                           "spiffe:/a/b",
                           "spiffe://A/b",
                           "spiffe://user@a/b",
                           "spiffe://a:80/b",
                           "spiffe://a/",
                           "spiffe://a//b",
                           "spiffe://a/b/",
                           "spiffe://a/./b",
                           "spiffe://a/..",
                           "spiffe://a/b?q",
                           "spiffe://a/b#f",
                           "spiffe://a/b%20c",
                           "spiffe://a/b c",
                           "spiffe://\xc3\xa4/b",
                           "spiffe://a/\xc3\xa4",
                           " spiffe://a/b",
                           "spiffe://a/b\n"}) {
    EXPECT_FALSE(SpiffeId::parse(text)) << text;
  }
  EXPECT_FALSE(SpiffeId::parse(std::string_view("spiffe://a/b\0", 13)));
  EXPECT_TRUE(SpiffeId::parse("spiffe://a/..."));
}

TEST(SpiffeId, KeepsTheLimitsOfLength) {
  EXPECT_TRUE(SpiffeId::parse("spiffe://" + std::string(255, 'a') + "/b"));
  EXPECT_FALSE(SpiffeId::parse("spiffe://" + std::string(256, 'a') + "/b"));
  const std::string head = "spiffe://a/";
  EXPECT_TRUE(SpiffeId::parse(head + std::string(2048 - head.size(), 'b')));
  const auto too_long = SpiffeId::parse(head + std::string(2049 - head.size(), 'b'));
  ASSERT_FALSE(too_long);
  EXPECT_EQ(too_long.error().code, Errc::too_large);
}

}  // namespace
}  // namespace mooring::identity
