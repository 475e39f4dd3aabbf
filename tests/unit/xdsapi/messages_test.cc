#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "xdsapi/cluster.pb.h"
#include "xdsapi/discovery.pb.h"
#include "xdsapi/unknown_fields.h"

namespace mooring {
namespace {

/// One field of wire type 2, both numbers below 128.
std::string field(int number, const std::string& content) {
  return std::string{static_cast<char>(number << 3 | 2), static_cast<char>(content.size())} +
         content;
}

TEST(XdsMessages, AreReadFromTheBytesOfThePublicApi) {
  const std::string any = field(1, "type.googleapis.com/x") + field(2, "bytes");
  const std::string resource = field(1, "7") + field(2, any) + field(3, "web");
  envoy::service::discovery::v3::DeltaDiscoveryResponse response;
  ASSERT_TRUE(response.ParseFromString(field(1, "v") + field(2, resource) + field(4, "type") +
                                       field(5, "nonce") + field(6, "gone")));
  EXPECT_EQ(response.system_version_info(), "v");
  EXPECT_EQ(response.type_url(), "type");
  EXPECT_EQ(response.nonce(), "nonce");
  EXPECT_THAT(response.removed_resources(), testing::ElementsAre("gone"));
  ASSERT_EQ(response.resources_size(), 1);
  EXPECT_EQ(response.resources(0).name(), "web");
  EXPECT_EQ(response.resources(0).version(), "7");
  EXPECT_EQ(response.resources(0).resource().type_url(), "type.googleapis.com/x");
  EXPECT_EQ(response.resources(0).resource().value(), "bytes");
}

TEST(XdsMessages, KeepTheFieldsThatTheyDoNotKnow) {
  const std::string unknown = field(15, "?");
  envoy::config::cluster::v3::Cluster cluster;
  ASSERT_TRUE(cluster.ParseFromString(field(1, "web") + unknown));
  EXPECT_EQ(cluster.name(), "web");
  EXPECT_EQ(xdsapi::UnknownFields::of(cluster), unknown);
  EXPECT_EQ(cluster.GetTypeName(), "envoy.config.cluster.v3.Cluster");
}

}  // namespace
}  // namespace mooring
