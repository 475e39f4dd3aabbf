// Nothing that a control plane says is lost in silence.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "discovery/decode_reader.h"
#include "fixtures.h"
#include "recordings.h"
#include "wire.h"

namespace mooring::discovery {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

/// Where a field that nobody knows may be put without the resource being rejected.
std::set<std::string> deaf_places_in(std::string_view type, std::string_view bytes) {
  std::set<std::string> out;
  EXPECT_TRUE(decode(type, "", bytes));
  for (const Variant& variant : with_unknown_field(bytes)) {
    if (decode(type, "", variant.bytes)) out.insert(variant.path);
  }
  return out;
}

template <class Message>
std::set<std::string> deaf_places(std::string_view type, const Message& message) {
  return deaf_places_in(type, message.SerializeAsString());
}

TEST(DecodeUnknown, HasNoDeafPlaceInAListener) {
  EXPECT_THAT(deaf_places(kListenerType, inbound_listener()), IsEmpty());
  EXPECT_THAT(deaf_places(kListenerType, outbound_listener()), IsEmpty());
  EXPECT_GT(with_unknown_field(inbound_listener().SerializeAsString()).size(), 30u);
}

TEST(DecodeUnknown, HasNoDeafPlaceInRulesOfAuthorization) {
  network_rbac_v3::RBAC message;
  auto& policy = (*message.mutable_rules()->mutable_policies())["p"];
  auto* and_rules = policy.add_permissions()->mutable_and_rules();
  and_rules->add_rules()->mutable_not_rule()->mutable_destination_ip()->set_address_prefix("::");
  and_rules->add_rules()->mutable_requested_server_name()->mutable_safe_regex()->set_regex("a");
  and_rules->add_rules()->mutable_destination_port_range()->set_end(9);
  auto* ids = policy.add_principals()->mutable_or_ids();
  ids->add_ids()->mutable_authenticated()->mutable_principal_name()->set_exact("x");
  ids->add_ids()->mutable_not_id()->mutable_direct_remote_ip()->set_address_prefix("10.0.0.0");
  auto listener = inbound_listener();
  pack(message, *listener.mutable_filter_chains(0)->mutable_filters(0)->mutable_typed_config());
  // An entry of a map has a key and a value, and the library knows no more of it.
  EXPECT_THAT(deaf_places(kListenerType, listener), ElementsAre("3.3.4.2.1.2"));
}

TEST(DecodeUnknown, HasNoDeafPlaceInAClusterOrASecret) {
  auto cluster = eds_cluster();
  cluster.mutable_outlier_detection()->mutable_interval()->set_seconds(1);
  cluster.mutable_circuit_breakers()->add_thresholds()->mutable_max_connections()->set_value(1);
  cluster.mutable_common_lb_config()->mutable_locality_weighted_lb_config();
  auto* check = cluster.add_health_checks();
  check->mutable_timeout()->set_seconds(1);
  check->mutable_interval()->set_seconds(1);
  check->mutable_tcp_health_check()->mutable_send()->set_text("aa");
  EXPECT_THAT(deaf_places(kClusterType, cluster), IsEmpty());
  EXPECT_THAT(deaf_places(kClusterType, static_cluster("10.0.0.1")), IsEmpty());

  tls_v3::Secret secret;
  secret.set_name("identity");
  secret.mutable_tls_certificate()->mutable_certificate_chain()->set_inline_string("-----");
  secret.mutable_tls_certificate()->mutable_private_key()->set_inline_string("-----");
  EXPECT_THAT(deaf_places(kSecretType, secret), IsEmpty());
}

/// What is deliberately not looked into, in what was recorded: fields of no consequence, metadata,
/// options of HTTP, JSON formats and entries of maps.
bool is_known_deaf(std::string_view type, std::string_view path) {
  static const std::map<std::string_view, std::vector<std::string_view>> kDeaf{
      {kClusterType,
       {"10.1.3", "10.1.4", "10.1.5", "10.1.7", "28", "36", "8.25", "33.2.2.3", "43.2"}},
      {kEndpointType, {"2.2.3"}},
      {kListenerType, {"6", "28", "29", "3.3.4.2.1", "3.3.4.2.2.2", "3.3.4.2.5.4.2.5.2"}},
      {kSecretType, {}},
  };
  for (const std::string_view deaf : kDeaf.at(type)) {
    if (path == deaf || (path.starts_with(deaf) && path[deaf.size()] == '.')) return true;
  }
  return false;
}

TEST(DecodeUnknown, HasNoOtherDeafPlaceInWhatWasRecorded) {
  const std::vector<RecordedCase> cases = recorded_cases();
  if (cases.empty()) GTEST_SKIP() << "no recordings in ../shared/kuma: nothing was tried";
  std::set<std::string> seen;
  std::size_t tried = 0;
  for (const RecordedCase& one : cases) {
    for (const Recorded& resource : one.resources) {
      const DecodeResult whole = decode(resource.type_url, resource.name, resource.bytes);
      // What is not done is said in a warning, and not looked into.
      if (!whole || !whole->warnings.empty() ||
          !seen.insert(resource.type_url + resource.bytes).second)
        continue;
      const auto* listener = std::get_if<snapshot::Listener>(&whole->resource);
      if (listener != nullptr &&
          std::any_of(listener->chains.begin(), listener->chains.end(), [](const auto& chain) {
            return !chain.not_served.empty();
          }))
        continue;
      if (std::holds_alternative<SystemListener>(whole->resource) ||
          std::holds_alternative<PipeCluster>(whole->resource))
        continue;
      for (const std::string& path : deaf_places_in(resource.type_url, resource.bytes)) {
        ++tried;
        EXPECT_TRUE(is_known_deaf(resource.type_url, path))
            << one.name << " " << resource.name << " " << path;
      }
    }
  }
  EXPECT_GT(tried, 100u);
}

TEST(DecodeUnknown, SaysWhyAFieldDoesNotMatter) {
  // stat_prefix of a listener, number 28; and of its TCP proxy, number 1.
  std::string bytes = outbound_listener().SerializeAsString() + "\xe2\x01\x01x";
  std::vector<Note> ignored;
  ASSERT_TRUE(decode(kListenerType, "", bytes, &ignored));
  EXPECT_THAT(ignored, ElementsAre(Note{"stat_prefix", "only names statistics"}));
}

TEST(DecodeUnknown, NamesTheFieldThatItDoesNotSupport) {
  // default_filter_chain of a listener, number 25.
  const std::string bytes = outbound_listener().SerializeAsString() + std::string("\xca\x01\0", 3);
  const DecodeResult result = decode(kListenerType, "", bytes);
  ASSERT_FALSE(result);
  EXPECT_EQ(describe(result.error()), "outbound: default_filter_chain: is not supported");
}

TEST(DecodeUnknown, RejectsWhatIsNoMessage) {
  for (const std::string_view type : {kClusterType, kEndpointType, kListenerType, kSecretType}) {
    EXPECT_FALSE(decode(type, "", "\xff"));
    EXPECT_FALSE(decode(type, "", "")) << type;
    EXPECT_FALSE(decode(type, "", std::string(kMaxResourceBytes + 1, 'x')));
  }
  const DecodeResult result = decode("type.googleapis.com/other", "x", "");
  ASSERT_FALSE(result);
  EXPECT_EQ(describe(result.error()), "x: is of a type that this agent does not know");
}

TEST(DecodeUnknown, KeepsReasonsShort) {
  auto listener = outbound_listener();
  pack_empty(std::string(100'000, 'x'),
             *listener.mutable_filter_chains(0)->mutable_filters(0)->mutable_typed_config());
  const DecodeResult result = decode_message(listener);
  ASSERT_FALSE(result);
  EXPECT_LT(describe(result.error()).size(), 1100u);
}

}  // namespace
}  // namespace mooring::discovery
