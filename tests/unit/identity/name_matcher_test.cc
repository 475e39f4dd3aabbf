#include "identity/name_matcher.h"

#include <gtest/gtest.h>

#include <vector>

namespace mooring::identity {
namespace {

using Kind = NameMatcher::Kind;

constexpr const char* kWeb = "spiffe://mesh.test/web";

bool uri_matches(Kind kind, const char* text, const char* uri, bool ignore_case = false) {
  return matches({.kind = kind, .text = text, .ignore_case = ignore_case}, {NameType::uri, uri});
}

TEST(NameMatcher, ComparesInEachOfItsWays) {
  EXPECT_TRUE(uri_matches(Kind::exact, kWeb, kWeb));
  EXPECT_FALSE(uri_matches(Kind::exact, kWeb, "spiffe://mesh.test/web2"));
  EXPECT_FALSE(uri_matches(Kind::exact, kWeb, "spiffe://mesh.test/we"));
  EXPECT_TRUE(uri_matches(Kind::prefix, "spiffe://mesh.test/", kWeb));
  EXPECT_FALSE(uri_matches(Kind::prefix, "spiffe://mesh.test/", "spiffe://mesh.test.evil/web"));
  EXPECT_FALSE(uri_matches(Kind::prefix, "spiffe://mesh.test/web/", kWeb));
  EXPECT_TRUE(uri_matches(Kind::suffix, "/web", kWeb));
  EXPECT_FALSE(uri_matches(Kind::suffix, "/web", "spiffe://mesh.test/web2"));
  EXPECT_FALSE(uri_matches(Kind::suffix, "spiffe://mesh.test/web/web", kWeb));
  EXPECT_TRUE(uri_matches(Kind::contains, "mesh.test", kWeb));
  EXPECT_TRUE(uri_matches(Kind::contains, "web", kWeb));
  EXPECT_FALSE(uri_matches(Kind::contains, "mesh_test", kWeb));
  EXPECT_FALSE(uri_matches(Kind::contains, "longer than the whole of the name", kWeb));
}

TEST(NameMatcher, IgnoresCaseWhereItIsTold) {
  const char* other = "SPIFFE://mesh.TEST/Web";
  for (const Kind kind : {Kind::exact, Kind::prefix, Kind::suffix, Kind::contains}) {
    EXPECT_FALSE(uri_matches(kind, kWeb, other)) << static_cast<int>(kind);
    EXPECT_TRUE(uri_matches(kind, kWeb, other, true)) << static_cast<int>(kind);
  }
  EXPECT_FALSE(uri_matches(Kind::exact, "a[", "A{", true));  // 32 apart, and no letters
}

TEST(NameMatcher, AsksTheRegexForTheWholeName) {
  NameMatcher matcher{.kind = Kind::regex, .text = kWeb};
  EXPECT_FALSE(matches(matcher, {NameType::uri, kWeb}));  // none was given
  matcher.regex = [](std::string_view name) { return name == kWeb; };
  EXPECT_TRUE(matches(matcher, {NameType::uri, kWeb}));
  EXPECT_FALSE(matches(matcher, {NameType::uri, "spiffe://mesh.test/web2"}));
  EXPECT_FALSE(matches(matcher, {NameType::dns, kWeb}));
}

TEST(NameMatcher, KeepsTheTypesApart) {
  const std::vector<NameType> types{
      NameType::uri, NameType::dns, NameType::ip_address, NameType::email};
  for (const NameType wanted : types) {
    for (const NameType presented : types) {
      EXPECT_EQ(matches({.type = wanted, .text = "10.0.0.1"}, {presented, "10.0.0.1"}),
                wanted == presented);
    }
  }
}

TEST(NameMatcher, ReadsDnsNamesAsDnsDoes) {
  const auto dns = [](const char* wanted, const char* certified) {
    return matches({.type = NameType::dns, .text = wanted}, {NameType::dns, certified});
  };
  EXPECT_TRUE(dns("kuma-cp", "kuma-cp"));
  EXPECT_TRUE(dns("kuma-cp", "Kuma-CP"));
  EXPECT_FALSE(dns("kuma-cp", "kuma-cp.evil.test"));
  EXPECT_TRUE(dns("db.mesh.test", "*.mesh.test"));
  EXPECT_TRUE(dns("db.mesh.test", "*.MESH.test"));
  EXPECT_FALSE(dns("a.db.mesh.test", "*.mesh.test"));
  EXPECT_FALSE(dns("mesh.test", "*.mesh.test"));
  EXPECT_FALSE(dns("db.mesh.test", "d*.mesh.test"));
  EXPECT_FALSE(dns("db.mesh.test", "db.*.test"));
  EXPECT_FALSE(dns("kuma-cp", "*"));
  EXPECT_FALSE(dns("kuma-cp", "*."));
  EXPECT_FALSE(dns(".mesh.test", "*.mesh.test"));
  EXPECT_FALSE(dns("db.", "*."));
  // Only exactly: a prefix is of the text as it is.
  EXPECT_FALSE(matches({.type = NameType::dns, .kind = Kind::prefix, .text = "db."},
                       {NameType::dns, "*.mesh.test"}));
}

TEST(NameMatcher, OneNameAndOneMatcherSuffice) {
  Names names;
  names.add(NameType::uri, kWeb);
  names.add(NameType::uri, "kuma://kuma.io/service/web");
  names.add(NameType::dns, "web.mesh");
  const NameMatcher tag{.text = "kuma://kuma.io/service/web"};
  const NameMatcher other{.text = "spiffe://mesh.test/other"};
  EXPECT_TRUE(is_expected(std::vector{other, tag}, names));
  EXPECT_FALSE(is_expected(std::vector{other}, names));
  EXPECT_TRUE(is_expected({}, names));
  EXPECT_TRUE(is_expected({}, {}));
  EXPECT_FALSE(is_expected(std::vector{tag}, {}));
}

}  // namespace
}  // namespace mooring::identity
