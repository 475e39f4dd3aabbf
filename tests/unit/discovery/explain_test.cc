#include "discovery/explain.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fixtures.h"
#include "xdsapi/discovery.pb.h"

namespace mooring::discovery {
namespace {

namespace discovery_v3 = envoy::service::discovery::v3;
using testing::HasSubstr;

TEST(Explain, SaysWhatIsUnderstoodAndWhatIsNot) {
  auto other = outbound_listener();
  other.set_name("other");
  other.mutable_filter_chains(0)->mutable_filters(0)->clear_typed_config();
  discovery_v3::DeltaDiscoveryResponse response;
  response.set_type_url(std::string(kListenerType));
  for (const auto& listener : {inbound_listener(), other}) {
    auto* resource = response.add_resources();
    resource->set_name(listener.name());
    pack(listener, *resource->mutable_resource());
  }
  // stat_prefix, number 28
  response.mutable_resources(0)->mutable_resource()->mutable_value()->append("\xe2\x01\x01x");
  const auto explained = explain(response.SerializeAsString());
  ASSERT_TRUE(explained);
  EXPECT_TRUE(explained->has_rejected);
  EXPECT_EQ(explained->text,
            "inbound\n"
            "  inbound, captured connections to 10.0.0.1/32 port 5432\n"
            "  for all: TLS with certificate identity, the peer verified by trust, 1 rules, "
            "otherwise denied, to local (weight 1)\n"
            "  no matter: stat_prefix: only names statistics\n"
            "other: filter_chains[0].filters[0].typed_config: is a filter that this agent does not "
            "have\n"
            "  rejected\n");
}

TEST(Explain, ReadsResponsesOfTheStateOfTheWorld) {
  discovery_v3::DiscoveryResponse response;
  response.set_type_url(std::string(kClusterType));
  pack(eds_cluster(), *response.add_resources());
  const auto explained = explain(response.SerializeAsString());
  ASSERT_TRUE(explained);
  EXPECT_FALSE(explained->has_rejected);
  EXPECT_THAT(explained->text, HasSubstr("web\n  endpoints by discovery, TLS with certificate"));
}

TEST(Explain, ReadsOneResourceAndPrintsNoSecret) {
  tls_v3::Secret secret;
  secret.set_name("identity");
  secret.mutable_tls_certificate()->mutable_certificate_chain()->set_inline_bytes("CERT");
  secret.mutable_tls_certificate()->mutable_private_key()->set_inline_bytes("PRIVATE");
  google::protobuf::Any any;
  pack(secret, any);
  const auto explained = explain(any.SerializeAsString());
  ASSERT_TRUE(explained);
  EXPECT_EQ(explained->text, "identity\n  a certificate and its key\n");
  discovery_v3::Resource resource;
  resource.set_name("identity");
  *resource.mutable_resource() = any;
  EXPECT_EQ(explain(resource.SerializeAsString())->text, explained->text);
}

TEST(Explain, SaysThatItWasGivenSomethingElse) {
  for (const char* bytes : {"", "hello", "\xff"}) {
    const auto explained = explain(bytes);
    ASSERT_FALSE(explained);
    EXPECT_THAT(describe(explained.error()), HasSubstr("holds no xDS that this agent knows"));
  }
}

}  // namespace
}  // namespace mooring::discovery
