#include "discovery/sotw_adapter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "xdsapi/discovery.pb.h"
#include "xdsapi/listener.pb.h"

namespace mooring::discovery {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using Kind = ResourceKind;
using Names = std::set<std::string>;

std::string url(Kind kind) {
  return std::string(type_url(kind));
}
SotwResponse whole(Kind kind, std::string version, std::string nonce, const Names& names) {
  SotwResponse response{std::move(version), {.type_url = url(kind), .nonce = std::move(nonce)}};
  for (const std::string& name : names)
    response.content.resources.push_back({name, response.version, url(kind), ""});
  return response;
}
SotwAdapter adapter_knowing(const Names& names) {
  return SotwAdapter([names](Kind) { return names; });
}
DeltaRequest answer(Kind kind, std::string nonce, std::string error = "") {
  return {.type_url = url(kind), .nonce = std::move(nonce), .error = std::move(error)};
}

TEST(SotwAdapter, AsksForAllNamesThatAreWantedEachTime) {
  SotwAdapter adapter = adapter_knowing({});
  const auto first = adapter.request({.type_url = url(Kind::endpoints), .subscribe = {"b", "a"}});
  ASSERT_TRUE(first);
  EXPECT_THAT(first->names, ElementsAre("a", "b"));
  EXPECT_EQ(first->version + first->nonce, "");
  (void)adapter.response(whole(Kind::endpoints, "7", "n1", {"a", "b"}));
  const auto taken = adapter.request(answer(Kind::endpoints, "n1"));
  ASSERT_TRUE(taken);
  EXPECT_EQ(taken->version, "7");
  EXPECT_EQ(taken->nonce, "n1");
  EXPECT_THAT(taken->names, ElementsAre("a", "b"));
  const auto next =
      adapter.request({.type_url = url(Kind::endpoints), .subscribe = {"c"}, .unsubscribe = {"a"}});
  ASSERT_TRUE(next);
  EXPECT_THAT(next->names, ElementsAre("b", "c"));
  EXPECT_EQ(next->version, "7");
  EXPECT_EQ(next->nonce, "n1");
}

TEST(SotwAdapter, WhatIsAbsentOfClustersAndListenersIsRemoved) {
  SotwAdapter adapter = adapter_knowing({"a", "b"});
  for (const Kind kind : {Kind::cluster, Kind::listener})
    EXPECT_TRUE(adapter.request({.type_url = url(kind)}));
  for (const Kind kind : {Kind::endpoints, Kind::secret})
    EXPECT_TRUE(adapter.request({.type_url = url(kind), .subscribe = {"a"}}));
  const auto removed = [&](Kind kind, const Names& names) {
    return adapter.response(whole(kind, "1", "n", names)).removed;
  };
  EXPECT_THAT(removed(Kind::cluster, {"b", "c"}), ElementsAre("a"));
  EXPECT_THAT(removed(Kind::listener, {}), ElementsAre("a", "b"));
  EXPECT_THAT(removed(Kind::endpoints, {}), IsEmpty());
  EXPECT_THAT(removed(Kind::secret, {}), IsEmpty());
  // Its new version may be what cannot be read.
  EXPECT_THAT(removed(Kind::listener, {""}), IsEmpty());
}

TEST(SotwAdapter, KeepsTheVersionThatWasTakenWhenAnotherIsRefused) {
  SotwAdapter adapter = adapter_knowing({});
  (void)adapter.request({.type_url = url(Kind::cluster)});
  (void)adapter.response(whole(Kind::cluster, "1", "n1", {}));
  (void)adapter.request(answer(Kind::cluster, "n1"));
  (void)adapter.response(whole(Kind::cluster, "2", "n2", {}));
  const auto refused = adapter.request(answer(Kind::cluster, "n2", "no"));
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->version, "1");
  EXPECT_EQ(refused->nonce, "n2");
  EXPECT_EQ(refused->error, "no");
}

TEST(SotwAdapter, HoldsARefusalThatIsRepeated) {
  SotwAdapter adapter = adapter_knowing({});
  (void)adapter.request({.type_url = url(Kind::cluster)});
  (void)adapter.response(whole(Kind::cluster, "2", "n1", {}));
  EXPECT_TRUE(adapter.request(answer(Kind::cluster, "n1", "no")));
  (void)adapter.response(whole(Kind::cluster, "2", "n2", {}));
  EXPECT_FALSE(adapter.request(answer(Kind::cluster, "n2", "no")));
  const auto held = adapter.take_held();
  ASSERT_EQ(held.size(), 1U);
  EXPECT_EQ(held[0].nonce, "n2");
  EXPECT_THAT(adapter.take_held(), IsEmpty());
  (void)adapter.response(whole(Kind::cluster, "3", "n3", {}));
  EXPECT_TRUE(adapter.request(answer(Kind::cluster, "n3")));
}

// A request of a type asks for all of it: the server would send it again and again.
TEST(SotwAdapter, DoesNotAnswerWhatNobodyAskedFor) {
  SotwAdapter adapter = adapter_knowing({"a"});
  EXPECT_THAT(adapter.response(whole(Kind::listener, "1", "n1", {})).removed, IsEmpty());
  EXPECT_FALSE(adapter.request(answer(Kind::listener, "n1", "nobody asked")));
  EXPECT_THAT(adapter.take_held(), IsEmpty());
}

TEST(SotwCodec, FindsTheNamesInTheResources) {
  envoy::service::discovery::v3::DiscoveryResponse message;
  envoy::config::listener::v3::Listener listener;
  listener.set_name("inbound");
  listener.mutable_address()->mutable_socket_address()->set_address("10.0.0.1");
  message.add_resources()->set_value(listener.SerializeAsString());
  message.add_resources()->set_value("\xff\xff");
  message.set_nonce("n");
  const std::string bytes = message.SerializeAsString();
  const auto response = decode_sotw_response(std::as_bytes(std::span(bytes)));
  ASSERT_TRUE(response);
  EXPECT_EQ(response->content.nonce, "n");
  EXPECT_EQ(response->content.resources.at(0).name, "inbound");
  EXPECT_EQ(response->content.resources.at(0).version, "-");
  EXPECT_EQ(response->content.resources.at(1).name, "");
  EXPECT_FALSE(decode_sotw_response(std::as_bytes(std::span("\xff", 1))));
}

TEST(SotwCodec, SaysInEachRequestWhoAsks) {
  const std::string bytes = encode_sotw_request(
      {.type_url = "t", .names = {"a"}, .version = "1", .nonce = "n", .error = "no"},
      {.id = "web", .cluster = {}, .metadata = {}});
  envoy::service::discovery::v3::DiscoveryRequest message;
  ASSERT_TRUE(message.ParseFromString(bytes));
  EXPECT_EQ(message.node().id(), "web");
  EXPECT_GE(message.node().user_agent_build_version().version().minor_number(), 18U);
  EXPECT_EQ(message.error_detail().message(), "no");
}

}  // namespace
}  // namespace mooring::discovery
