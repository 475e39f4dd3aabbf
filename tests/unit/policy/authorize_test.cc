#include "policy/authorize.h"

#include <gtest/gtest.h>

namespace mooring::policy {
namespace {

using config::SpiffePattern;

constexpr const char* kWeb = "spiffe://shop.test/web";

TEST(Authorize, DeniesPeerWithoutMatchingRule) {
  const Verdict verdict = authorize({}, kWeb);
  EXPECT_FALSE(verdict.allowed);
  EXPECT_EQ(verdict.rule, "");
}

TEST(Authorize, AllowsExactIdsAndPrefixesAndNamesTheRule) {
  snapshot::Authorization rules;
  rules.allow = {{kWeb, false}, {"spiffe://shop.test/team/", true}};
  EXPECT_TRUE(authorize(rules, kWeb).allowed);
  EXPECT_EQ(authorize(rules, kWeb).rule, "allow spiffe://shop.test/web");
  EXPECT_EQ(authorize(rules, "spiffe://shop.test/team/a").rule, "allow spiffe://shop.test/team/*");
  EXPECT_FALSE(authorize(rules, "spiffe://shop.test/team/").allowed);
  EXPECT_FALSE(authorize(rules, "spiffe://shop.test/webx").allowed);
}

TEST(Authorize, DeniesFirst) {
  snapshot::Authorization rules;
  rules.allow = {{"spiffe://shop.test/", true}};
  rules.deny = {{kWeb, false}};
  EXPECT_FALSE(authorize(rules, kWeb).allowed);
  EXPECT_EQ(authorize(rules, kWeb).rule, "deny spiffe://shop.test/web");
}

TEST(Authorize, ShadowRulesOnlyTellWhatTheyWouldDo) {
  snapshot::Authorization rules;
  rules.allow = {{"spiffe://shop.test/", true}};
  rules.shadow_deny = {{kWeb, false}};
  EXPECT_TRUE(authorize(rules, kWeb).allowed);
  EXPECT_EQ(authorize(rules, kWeb).shadow, "deny spiffe://shop.test/web");
  EXPECT_EQ(authorize(rules, "spiffe://shop.test/db").shadow, "");

  snapshot::Authorization wider;
  wider.shadow_allow = {{kWeb, false}};
  EXPECT_FALSE(authorize(wider, kWeb).allowed);
  EXPECT_EQ(authorize(wider, kWeb).shadow, "allow spiffe://shop.test/web");

  snapshot::Authorization narrower;
  narrower.allow = {{"spiffe://shop.test/", true}};
  narrower.shadow_allow = {{kWeb, false}};
  EXPECT_EQ(authorize(narrower, "spiffe://shop.test/db").shadow,
            "deny (no shadow_allow rule matches)");
}

}  // namespace
}  // namespace mooring::policy
