#include "tls/fips.h"

#include <gtest/gtest.h>

namespace mooring::tls {
namespace {

constexpr bool kBundled = true;
constexpr bool kOfTheSystem = false;

TEST(Fips, BundledBuildIsRefusedOnAFipsHostWithAWayOut) {
  const auto refusal = refuse_on_fips_host({kBundled, "1\n", ""});
  const std::string text = refusal ? describe(*refusal) : "";
  EXPECT_NE(text.find("FIPS mode"), std::string::npos);
  EXPECT_NE(text.find(kAllowNonFips), std::string::npos);
}

TEST(Fips, OnlyTheValueOneAllowsIt) {
  EXPECT_FALSE(refuse_on_fips_host({kBundled, "1\n", "1"}));
  for (const char* value : {"0", "", "yes", "11", " 1"})
    EXPECT_TRUE(refuse_on_fips_host({kBundled, "1\n", value})) << value;
}

TEST(Fips, SystemsOpensslIsTheFipsRoute) {
  EXPECT_FALSE(refuse_on_fips_host({kOfTheSystem, "1\n", ""}));
}

TEST(Fips, OtherHostsAreNotAsked) {
  for (const char* content : {"0\n", "", "\n"})
    EXPECT_FALSE(refuse_on_fips_host({kBundled, content, ""})) << content;
}

TEST(Fips, FactsSayWhichBuildThisIs) {
  EXPECT_EQ(read_fips_facts().is_bundled, MOORING_OPENSSL_BUNDLED != 0);
}

}  // namespace
}  // namespace mooring::tls
