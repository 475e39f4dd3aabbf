#include "discovery/delta_codec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "xdsapi/discovery.pb.h"

namespace mooring::discovery {
namespace {

using Request = envoy::service::discovery::v3::DeltaDiscoveryRequest;
using Response = envoy::service::discovery::v3::DeltaDiscoveryResponse;
using testing::ElementsAre;

Request encoded(const DeltaRequest& request, const NodeInfo& node = {}) {
  Request message;
  EXPECT_TRUE(message.ParseFromString(encode_delta_request(request, node)));
  return message;
}

TEST(DeltaCodec, PutsTheNodeIntoRequestsThatHaveIt) {
  const NodeInfo node{
      "default.web",
      "web",
      R"({"s": "9901", "b": true, "n": 1.5, "l": ["a"], "o": {"x": null}, "e": {}})"};
  const Request message = encoded({.has_node = true, .type_url = "t"}, node);
  EXPECT_EQ(message.node().id(), "default.web");
  EXPECT_EQ(message.node().cluster(), "web");
  EXPECT_EQ(message.node().user_agent_name(), "mooring");
  const auto& fields = message.node().metadata().fields();
  EXPECT_EQ(fields.size(), 6U);
  EXPECT_EQ(fields.at("s").string_value(), "9901");
  EXPECT_TRUE(fields.at("b").bool_value());
  EXPECT_EQ(fields.at("n").number_value(), 1.5);
  EXPECT_EQ(fields.at("l").list_value().values(0).string_value(), "a");
  EXPECT_EQ(fields.at("o").struct_value().fields().at("x").kind_case(),
            google::protobuf::Value::kNullValue);
  EXPECT_TRUE(fields.at("e").has_struct_value());
  EXPECT_FALSE(encoded({.type_url = "t"}, node).has_node());
}

TEST(DeltaCodec, LeavesMetadataOutThatIsNone) {
  const Request message = encoded({.has_node = true, .type_url = "t"}, {"id", "", "not json"});
  EXPECT_EQ(message.node().metadata().fields().size(), 0U);
}

TEST(DeltaCodec, CarriesEveryFieldOfARequest) {
  const Request message = encoded({.type_url = "t",
                                   .subscribe = {"a", "b"},
                                   .unsubscribe = {"c"},
                                   .initial_versions = {{"a", "1"}},
                                   .nonce = "7"});
  EXPECT_EQ(message.type_url(), "t");
  EXPECT_THAT(message.resource_names_subscribe(), ElementsAre("a", "b"));
  EXPECT_THAT(message.resource_names_unsubscribe(), ElementsAre("c"));
  EXPECT_EQ(message.initial_resource_versions().at("a"), "1");
  EXPECT_EQ(message.response_nonce(), "7");
  EXPECT_FALSE(message.has_error_detail());
  const Request refusal = encoded({.type_url = "t", .error = "no"});
  EXPECT_EQ(refusal.error_detail().code(), 3);
  EXPECT_EQ(refusal.error_detail().message(), "no");
}

TEST(DeltaCodec, ReadsAResponse) {
  Response message;
  message.set_type_url("t");
  message.set_nonce("9");
  message.add_removed_resources("gone");
  auto& resource = *message.add_resources();
  resource.set_name("n");
  resource.set_version("v");
  resource.mutable_resource()->set_type_url("u");
  resource.mutable_resource()->set_value(std::string("a\0b", 3));
  message.add_resources();
  const std::string bytes = message.SerializeAsString();
  const auto response = decode_delta_response(std::as_bytes(std::span(bytes)));
  ASSERT_TRUE(response);
  EXPECT_EQ(response->type_url, "t");
  EXPECT_EQ(response->nonce, "9");
  EXPECT_THAT(response->removed, ElementsAre("gone"));
  ASSERT_EQ(response->resources.size(), 2U);
  EXPECT_EQ(response->resources[0].name, "n");
  EXPECT_EQ(response->resources[0].version, "v");
  EXPECT_EQ(response->resources[0].type_url, "u");
  EXPECT_EQ(response->resources[0].bytes, std::string("a\0b", 3));
  EXPECT_EQ(response->resources[1].name, "");
}

TEST(DeltaCodec, RefusesWhatIsNoMessage) {
  for (const std::string bytes : {"\xff", "\x0a\x7f", "\x12\x01"})
    EXPECT_FALSE(decode_delta_response(std::as_bytes(std::span(bytes)))) << bytes.size();
}

}  // namespace
}  // namespace mooring::discovery
