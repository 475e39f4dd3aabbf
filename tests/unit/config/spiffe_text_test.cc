#include "core/spiffe_text.h"

#include <gtest/gtest.h>

#include <string>

namespace mooring {
namespace {

TEST(SpiffeText, AcceptsWhatTheSpecificationAllows) {
  for (const char* id : {"spiffe://shop.example",
                         "spiffe://a/b",
                         "spiffe://a-b_c.9/Web/x.y-z_0",
                         "spiffe://a/..."}) {
    EXPECT_TRUE(is_spiffe_id(id)) << id;
  }
}

TEST(SpiffeText, RefusesEverythingElse) {
  for (const char* id : {"",
                         "spiffe://",
                         "spiffe:///a",
                         "SPIFFE://a/b",
                         "https://a/b",
                         "spiffe://A/b",
                         "spiffe://a/",
                         "spiffe://a//b",
                         "spiffe://a/b/",
                         "spiffe://a/./b",
                         "spiffe://a/..",
                         "spiffe://a/b?c",
                         "spiffe://a/b#c",
                         "spiffe://a:1/b",
                         "spiffe://u@a/b",
                         "spiffe://a/b c",
                         "spiffe://a/%41"}) {
    EXPECT_FALSE(is_spiffe_id(id)) << id;
  }
}

TEST(SpiffeText, BoundsAreExact) {
  const std::string domain(kMaxTrustDomainBytes, 'a');
  EXPECT_TRUE(is_trust_domain_text(domain));
  EXPECT_FALSE(is_trust_domain_text(domain + "a"));
  const std::string id = "spiffe://a/" + std::string(kMaxSpiffeIdBytes - 11, 'b');
  EXPECT_TRUE(is_spiffe_id(id));
  EXPECT_FALSE(is_spiffe_id(id + "b"));
}

TEST(SpiffeText, FindsTheTrustDomain) {
  EXPECT_EQ(spiffe_trust_domain("spiffe://shop.example/a/b"), "shop.example");
  EXPECT_EQ(spiffe_trust_domain("spiffe://shop.example/"), "shop.example");
  EXPECT_EQ(spiffe_trust_domain("spiffe://shop.example"), "shop.example");
}

}  // namespace
}  // namespace mooring
