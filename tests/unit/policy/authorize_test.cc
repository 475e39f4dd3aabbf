#include "policy/authorize.h"

#include <gtest/gtest.h>

#include "snapshot/from_config.h"

namespace mooring::policy {
namespace {

using snapshot::Authorization;
using snapshot::Condition;
using snapshot::Rule;
using snapshot::StringMatcher;

constexpr std::string_view kWeb = "spiffe://shop.test/web";

ConnFacts facts_of(std::span<const std::string_view> names) {
  ConnFacts facts;
  facts.is_authenticated = true;
  facts.uri_names = names;
  return facts;
}

Verdict authorize_id(const std::vector<Authorization>& filters, std::string_view id) {
  return authorize(filters, facts_of({&id, 1}), nullptr);
}

/// What agent.toml's lists become.
std::vector<Authorization> rules_of(const config::Service& service) {
  config::AgentConfig config;
  config.services = {service};
  return snapshot::resources_from(config, {}).listeners.back().chains.back().authorization;
}

TEST(Authorize, DeniesPeerWithoutMatchingRule) {
  const Verdict verdict = authorize_id(rules_of({}), kWeb);
  EXPECT_FALSE(verdict.allowed);
  EXPECT_EQ(verdict.rule, "");
}

TEST(Authorize, AllowsExactIdsAndPrefixesAndNamesTheRule) {
  config::Service service;
  service.allow = {{std::string(kWeb), false}, {"spiffe://shop.test/team/", true}};
  const auto rules = rules_of(service);
  EXPECT_TRUE(authorize_id(rules, kWeb).allowed);
  EXPECT_EQ(authorize_id(rules, kWeb).rule, "allow spiffe://shop.test/web");
  EXPECT_EQ(authorize_id(rules, "spiffe://shop.test/team/a").rule,
            "allow spiffe://shop.test/team/*");
  EXPECT_FALSE(authorize_id(rules, "spiffe://shop.test/webx").allowed);
}

TEST(Authorize, DeniesFirst) {
  config::Service service;
  service.allow = {{"spiffe://shop.test/", true}};
  service.deny = {{std::string(kWeb), false}};
  EXPECT_FALSE(authorize_id(rules_of(service), kWeb).allowed);
  EXPECT_EQ(authorize_id(rules_of(service), kWeb).rule, "deny spiffe://shop.test/web");
}

TEST(Authorize, ShadowRulesOnlyTellWhatTheyWouldDo) {
  config::Service service;
  service.allow = {{"spiffe://shop.test/", true}};
  service.shadow_deny = {{std::string(kWeb), false}};
  const Verdict verdict = authorize_id(rules_of(service), kWeb);
  EXPECT_TRUE(verdict.allowed);
  EXPECT_EQ(verdict.shadow, "deny spiffe://shop.test/web");
  EXPECT_FALSE(verdict.shadow_allowed);
  EXPECT_EQ(authorize_id(rules_of(service), "spiffe://shop.test/db").shadow, "");
  service.allow.clear();
  EXPECT_EQ(authorize_id(rules_of(service), "spiffe://shop.test/db").shadow, "")
      << "a shadow without an allow list has no opinion on whom it does not deny";

  config::Service wider;
  wider.shadow_allow = {{std::string(kWeb), false}};
  EXPECT_FALSE(authorize_id(rules_of(wider), kWeb).allowed);
  EXPECT_EQ(authorize_id(rules_of(wider), kWeb).shadow, "allow spiffe://shop.test/web");
  EXPECT_TRUE(authorize_id(rules_of(wider), kWeb).shadow_allowed);

  config::Service narrower;
  narrower.allow = {{"spiffe://shop.test/", true}};
  narrower.shadow_allow = {{std::string(kWeb), false}};
  EXPECT_EQ(authorize_id(rules_of(narrower), "spiffe://shop.test/db").shadow,
            "deny (no shadow_allow rule matches)");
}

Condition condition(Condition::Kind kind) {
  Condition made;
  made.kind = kind;
  return made;
}

Condition peer(std::string_view text, StringMatcher::Kind kind = StringMatcher::Kind::exact) {
  Condition made = condition(Condition::Kind::peer_name);
  made.text = {kind, std::string(text), false};
  return made;
}

Condition sni(const char* text) {
  Condition made = condition(Condition::Kind::server_name);
  made.text = {StringMatcher::Kind::exact, text, false};
  return made;
}

Condition within(Condition::Kind kind, const char* prefix) {
  Condition made = condition(kind);
  made.prefix = parse_prefix(prefix).value();
  return made;
}

Condition ports(std::uint16_t begin, std::uint16_t end) {
  Condition made = condition(Condition::Kind::destination_port);
  made.port_begin = begin;
  made.port_end = end;
  return made;
}

Condition of(Condition::Kind kind, std::vector<Condition> inner) {
  Condition made = condition(kind);
  made.of = std::move(inner);
  return made;
}

Authorization allowing(Condition what) {
  Authorization filter;
  filter.rules = {{Rule{"p", true, std::move(what)}}, false, "default"};
  return filter;
}

TEST(Authorize, HoldsEachConditionWhereItShould) {
  using Kind = Condition::Kind;
  const std::vector<std::string_view> names{"kuma://kuma.io/zone/east", kWeb};
  ConnFacts facts = facts_of(names);
  facts.server_name = "db.mesh";
  facts.destination = {parse_ip("10.0.0.7").value(), 5432};
  facts.source = parse_ip("10.9.0.1").value();
  struct Case {
    const char* claim;
    Condition condition;
    bool holds;
  };
  const std::vector<Case> cases{
      {"any", condition(Kind::any), true},
      {"authenticated", condition(Kind::authenticated), true},
      {"the second name", peer(kWeb), true},
      {"a tag", peer("kuma://kuma.io/zone/", StringMatcher::Kind::prefix), true},
      {"another peer", peer("spiffe://shop.test/db"), false},
      {"server name", sni("db.mesh"), true},
      {"another server name", sni("web.mesh"), false},
      {"destination", within(Kind::destination_ip, "10.0.0.0/24"), true},
      {"another destination", within(Kind::destination_ip, "10.0.1.0/24"), false},
      {"source", within(Kind::source_ip, "10.9.0.0/16"), true},
      {"another source", within(Kind::source_ip, "fd00::/8"), false},
      {"first port", ports(5432, 5433), true},
      {"last port", ports(5400, 5432), true},
      {"ports below", ports(1, 5431), false},
      {"all of none", of(Kind::all_of, {}), true},
      {"any of none", of(Kind::any_of, {}), false},
      {"all of", of(Kind::all_of, {peer(kWeb), ports(5432, 5432)}), true},
      {"not all of", of(Kind::all_of, {peer(kWeb), ports(80, 80)}), false},
      {"any of", of(Kind::any_of, {ports(80, 80), peer(kWeb)}), true},
      {"not", of(Kind::none_of, {ports(80, 80)}), true},
      {"not not", of(Kind::none_of, {of(Kind::none_of, {peer(kWeb)})}), true},
      {"not this peer", of(Kind::none_of, {peer(kWeb)}), false}};
  for (const Case& one : cases) {
    const Verdict verdict = authorize({allowing(one.condition)}, facts, nullptr);
    EXPECT_EQ(verdict.allowed, one.holds) << one.claim;
    EXPECT_EQ(verdict.rule, one.holds ? "p" : "default") << one.claim;
  }
}

TEST(Authorize, APeerThatWasNotVerifiedHasNoName) {
  ConnFacts facts;
  EXPECT_FALSE(
      authorize({allowing(peer("", StringMatcher::Kind::prefix))}, facts, nullptr).allowed);
  EXPECT_FALSE(
      authorize({allowing(condition(Condition::Kind::authenticated))}, facts, nullptr).allowed);
}

TEST(Authorize, DnsNamesCountOnlyWithoutUriNames) {
  const std::vector<std::string_view> dns{"kuma-cp"};
  const std::vector<std::string_view> uri{kWeb};
  ConnFacts facts = facts_of({});
  facts.dns_names = dns;
  EXPECT_TRUE(authorize({allowing(peer("kuma-cp"))}, facts, nullptr).allowed);
  facts.uri_names = uri;
  EXPECT_FALSE(authorize({allowing(peer("kuma-cp"))}, facts, nullptr).allowed);
}

TEST(Authorize, AllFiltersMustAllowAndTheFirstThatDeniesIsNamed) {
  Authorization deny = allowing(ports(1, 1));
  deny.rules->otherwise = "second";
  const Authorization none;
  const Authorization allow = allowing(condition(Condition::Kind::any));
  EXPECT_TRUE(authorize_id({none, allow}, kWeb).allowed);
  EXPECT_EQ(authorize_id({none, allow}, kWeb).rule, "p");
  EXPECT_FALSE(authorize_id({allow, deny}, kWeb).allowed);
  EXPECT_EQ(authorize_id({allow, deny}, kWeb).rule, "second");
  EXPECT_TRUE(authorize_id({}, kWeb).allowed);
}

TEST(Authorize, TheFirstRuleThatHoldsDecides) {
  Authorization filter;
  filter.rules = {{Rule{"deny web", false, peer(kWeb)},
                   Rule{"allow all", true, condition(Condition::Kind::any)}},
                  false,
                  ""};
  EXPECT_EQ(authorize_id({filter}, kWeb).rule, "deny web");
  EXPECT_EQ(authorize_id({filter}, "spiffe://shop.test/db").rule, "allow all");
  filter.rules->rules.clear();
  filter.rules->allow_otherwise = true;
  EXPECT_TRUE(authorize_id({filter}, kWeb).allowed);
}

TEST(Authorize, AnEmptyMatcherDeniesWithItsName) {
  Authorization filter;
  filter.rules = {{}, false, "default"};
  EXPECT_FALSE(authorize_id({filter}, kWeb).allowed);
  EXPECT_EQ(authorize_id({filter}, kWeb).rule, "default");
}

TEST(Authorize, UsesRegularExpressionsOfTheListener) {
  snapshot::Regexes regexes;
  ASSERT_TRUE(regexes.add("spiffe://shop\\.test/.*"));
  const Authorization filter =
      allowing(peer("spiffe://shop\\.test/.*", StringMatcher::Kind::safe_regex));
  EXPECT_TRUE(authorize({filter}, facts_of({&kWeb, 1}), &regexes).allowed);
  EXPECT_FALSE(authorize({filter}, facts_of({&kWeb, 1}), nullptr).allowed);
}

}  // namespace
}  // namespace mooring::policy
