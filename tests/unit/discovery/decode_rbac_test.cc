#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fixtures.h"

namespace mooring::discovery {
namespace {

using snapshot::Condition;
using snapshot::RuleList;
using Kind = Condition::Kind;
using testing::HasSubstr;

listener_v3::Listener with(const network_rbac_v3::RBAC& rbac) {
  auto out = inbound_listener();
  pack(rbac, *out.mutable_filter_chains(0)->mutable_filters(0)->mutable_typed_config());
  return out;
}

snapshot::Authorization authorization_of(const network_rbac_v3::RBAC& rbac) {
  return taken<snapshot::Listener>(with(rbac)).chains.at(0).authorization.at(0);
}

Condition named(Kind kind, const std::string& exact) {
  Condition out;
  out.kind = kind;
  out.text.text = exact;
  return out;
}

Condition tree(Kind kind, std::vector<Condition> of) {
  Condition out;
  out.kind = kind;
  out.of = std::move(of);
  return out;
}

TEST(DecodeRbac, TakesAMatcher) {
  const snapshot::Authorization got = authorization_of(allow_only("spiffe://mesh/web"));
  RuleList expected;
  expected.rules = {{"allow-web", true, named(Kind::peer_name, "spiffe://mesh/web")}};
  expected.otherwise = "default";
  EXPECT_EQ(got.rules, expected);
  EXPECT_EQ(got.shadow, std::nullopt);
  EXPECT_EQ(got.stat_prefix, "inbound.");
}

TEST(DecodeRbac, TakesAShadowMatcherWithOrAndNot) {
  auto message = allow_only("spiffe://mesh/web");
  message.mutable_shadow_matcher()->CopyFrom(message.matcher());
  auto* predicate = message.mutable_shadow_matcher()
                        ->mutable_matcher_list()
                        ->mutable_matchers(0)
                        ->mutable_predicate();
  const auto single = predicate->single_predicate();
  auto* either = predicate->mutable_or_matcher();
  *either->add_predicate()->mutable_single_predicate() = single;
  auto* both = either->add_predicate()->mutable_and_matcher();
  *both->add_predicate()->mutable_not_matcher()->mutable_single_predicate() = single;
  const Condition leaf = named(Kind::peer_name, "spiffe://mesh/web");
  const snapshot::Authorization got = authorization_of(message);
  ASSERT_TRUE(got.shadow);
  EXPECT_EQ(got.shadow->rules.at(0).condition,
            tree(Kind::any_of, {leaf, tree(Kind::all_of, {tree(Kind::none_of, {leaf})})}));
}

/// Envoy wants the engine of a regular expression named there, and takes no name for no value.
TEST(DecodeRbac, FitsNoServerNameThatIsMissing) {
  auto message = allow_only("spiffe://mesh/web");
  auto* single = message.mutable_matcher()
                     ->mutable_matcher_list()
                     ->mutable_matchers(0)
                     ->mutable_predicate()
                     ->mutable_single_predicate();
  pack_empty("envoy.extensions.matching.common_inputs.network.v3.ServerNameInput",
             *single->mutable_input()->mutable_typed_config());
  const std::string google_re2("\x0a\x00", 2);
  auto* regex = single->mutable_value_match()->mutable_safe_regex();
  ASSERT_TRUE(regex->ParseFromString(google_re2 + "\x12\x02.*"));
  Condition fits = named(Kind::server_name, ".*");
  fits.text.kind = snapshot::StringMatcher::Kind::safe_regex;
  const Condition is_missing = named(Kind::server_name, "");
  EXPECT_EQ(authorization_of(message).rules->rules.at(0).condition,
            tree(Kind::all_of, {fits, tree(Kind::none_of, {is_missing})}));
}

TEST(DecodeRbac, DeniesAllByAMatcherThatIsEmpty) {
  network_rbac_v3::RBAC message;
  message.mutable_matcher();
  EXPECT_EQ(authorization_of(message).rules, RuleList{});
}

TEST(DecodeRbac, TakesRules) {
  network_rbac_v3::RBAC message;
  auto& policies = *message.mutable_rules()->mutable_policies();
  policies["b"].add_permissions()->set_any(true);
  policies["b"].add_principals()->mutable_authenticated();
  policies["a"].add_permissions()->set_destination_port(5432);
  auto* ids = policies["a"].add_principals()->mutable_and_ids();
  ids->add_ids()->mutable_not_id()->set_any(true);
  ids->add_ids()->mutable_authenticated()->mutable_principal_name()->set_exact("kuma://x/y");
  message.mutable_shadow_rules()->set_action(rbac_v3::RBAC::DENY);

  Condition port;
  port.kind = Kind::destination_port;
  port.port_begin = port.port_end = 5432;
  const Condition a = tree(
      Kind::all_of,
      {tree(Kind::any_of, {port}),
       tree(Kind::any_of,
            {tree(Kind::all_of,
                  {tree(Kind::none_of, {Condition{}}), named(Kind::peer_name, "kuma://x/y")})})});
  const Condition b = tree(
      Kind::all_of,
      {tree(Kind::any_of, {Condition{}}), tree(Kind::any_of, {named(Kind::authenticated, "")})});
  RuleList expected;
  expected.rules = {{"a", true, a}, {"b", true, b}};
  const snapshot::Authorization got = authorization_of(message);
  EXPECT_EQ(got.rules, expected);
  RuleList shadow;
  shadow.allow_otherwise = true;
  EXPECT_EQ(got.shadow, shadow);
}

TEST(DecodeRbac, EndsARangeOfPortsBeforeItsEnd) {
  network_rbac_v3::RBAC message;
  auto& policy = (*message.mutable_rules()->mutable_policies())["p"];
  auto* range = policy.add_permissions()->mutable_destination_port_range();
  range->set_start(80);
  range->set_end(90);
  policy.add_principals()->set_any(true);
  const Condition got = authorization_of(message).rules->rules.at(0).condition.of.at(0).of.at(0);
  EXPECT_EQ(got.port_begin, 80);
  EXPECT_EQ(got.port_end, 89);
  range->set_end(80);
  EXPECT_THAT(rejection(with(message)), HasSubstr("is no range of ports"));
}

TEST(DecodeRbac, RejectsWhatItCannotDecide) {
  auto message = allow_only("x");
  auto* rule = message.mutable_matcher()->mutable_matcher_list()->mutable_matchers(0);
  pack_empty("envoy.extensions.matching.common_inputs.ssl.v3.SubjectInput",
             *rule->mutable_predicate()
                  ->mutable_single_predicate()
                  ->mutable_input()
                  ->mutable_typed_config());
  EXPECT_THAT(rejection(with(message)), HasSubstr("is an input that this agent does not have"));

  message = allow_only("x");
  rule = message.mutable_matcher()->mutable_matcher_list()->mutable_matchers(0);
  rule->mutable_on_match()->mutable_matcher();
  EXPECT_THAT(rejection(with(message)), HasSubstr("nested matchers are not supported"));

  message = allow_only("x");
  message.mutable_rules();
  EXPECT_THAT(rejection(with(message)), HasSubstr("matcher: and rules exclude each other"));

  network_rbac_v3::RBAC log;
  log.mutable_rules()->set_action(rbac_v3::RBAC::LOG);
  EXPECT_THAT(rejection(with(log)), HasSubstr("rules.action: is not supported"));

  network_rbac_v3::RBAC nobody;
  auto& policy = (*nobody.mutable_rules()->mutable_policies())["p"];
  policy.add_permissions()->set_any(true);
  EXPECT_THAT(rejection(with(nobody)), HasSubstr("rules.policies[p].principals: is empty"));
}

TEST(DecodeRbac, RejectsAMatcherThatAsksForAPeerWithoutTls) {
  auto plain = with(allow_only("x"));
  plain.mutable_filter_chains(0)->clear_transport_socket();
  EXPECT_THAT(rejection(plain), HasSubstr("matcher: asks for the peer's name"));
  network_rbac_v3::RBAC rules;  // where a connection without TLS merely has no such peer
  auto& policy = (*rules.mutable_rules()->mutable_policies())["p"];
  policy.add_permissions()->set_any(true);
  policy.add_principals()->mutable_authenticated();
  plain = with(rules);
  plain.mutable_filter_chains(0)->clear_transport_socket();
  EXPECT_EQ(taken<snapshot::Listener>(plain).chains.size(), 1U);
}

TEST(DecodeRbac, RejectsATreeThatIsTooDeep) {
  network_rbac_v3::RBAC message;
  auto& policy = (*message.mutable_rules()->mutable_policies())["p"];
  policy.add_permissions()->set_any(true);
  rbac_v3::Principal* at = policy.add_principals();
  for (int i = 0; i < 40; ++i)
    at = at->mutable_not_id();
  at->set_any(true);
  EXPECT_THAT(rejection(with(message)), HasSubstr("is nested too deep"));
}

}  // namespace
}  // namespace mooring::discovery
