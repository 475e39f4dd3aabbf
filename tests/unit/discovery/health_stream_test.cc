#include "discovery/health_stream.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "xdsapi/health.pb.h"

namespace mooring::discovery {
namespace {

namespace health_v3 = envoy::service::health::v3;

Result<HealthSpecifier> decode(const health_v3::HealthCheckSpecifier& message) {
  const std::string bytes = message.SerializeAsString();
  return decode_health_specifier(std::as_bytes(std::span(bytes)));
}

/// A cluster that is probed by TCP at that address.
health_v3::ClusterHealthCheck& add(health_v3::HealthCheckSpecifier& message,
                                   const std::string& name,
                                   const std::string& ip,
                                   std::uint32_t port) {
  auto& cluster = *message.add_cluster_health_checks();
  cluster.set_cluster_name(name);
  cluster.add_health_checks()->mutable_tcp_health_check();
  auto& address = *cluster.add_locality_endpoints()->add_endpoints()->mutable_address();
  address.mutable_socket_address()->set_address(ip);
  address.mutable_socket_address()->set_port_value(port);
  return cluster;
}

TEST(HealthSpecifier, SaysWhatIsProbed) {
  health_v3::HealthCheckSpecifier message;
  message.mutable_interval()->set_seconds(5);
  auto& check = *add(message, "localhost:8080", "127.0.0.1", 8080).mutable_health_checks(0);
  check.mutable_timeout()->set_seconds(1);
  check.mutable_interval()->set_nanos(500'000'000);
  check.mutable_healthy_threshold()->set_value(2);
  check.mutable_unhealthy_threshold()->set_value(3);
  const auto specifier = decode(message);
  ASSERT_TRUE(specifier);
  EXPECT_EQ(specifier->interval, Milliseconds(5000));
  ASSERT_EQ(specifier->clusters.size(), 1U);
  EXPECT_EQ(specifier->clusters[0],
            (HealthCluster{.name = "localhost:8080",
                           .probe = {.address = {IpAddress::v4(0x7f000001), 8080},
                                     .timeout = Milliseconds(1000),
                                     .interval = Milliseconds(500),
                                     .healthy_threshold = 2,
                                     .unhealthy_threshold = 3},
                           .is_probed = true}));
}

TEST(HealthSpecifier, TakesItselfForHealthyAndOthersForUnknown) {
  health_v3::HealthCheckSpecifier message;
  auto& admin = *message.add_cluster_health_checks();
  admin.set_cluster_name("system_envoy_admin");
  admin.add_health_checks()->mutable_http_health_check()->set_path("/ready");
  admin.add_locality_endpoints()->add_endpoints()->mutable_address()->mutable_pipe()->set_path(
      "/x");
  message.add_cluster_health_checks()->set_cluster_name("empty");
  add(message, "no address", "name", 80);
  add(message, "no port", "127.0.0.1", 0);
  add(message, "large port", "127.0.0.1", 65536);
  add(message, "no tcp", "127.0.0.1", 80).mutable_health_checks(0)->mutable_grpc_health_check();
  const auto specifier = decode(message);
  ASSERT_TRUE(specifier);
  ASSERT_EQ(specifier->clusters.size(), 6U);
  for (const HealthCluster& cluster : specifier->clusters) {
    EXPECT_FALSE(cluster.is_probed) << cluster.name;
    EXPECT_EQ(cluster.is_assumed, cluster.name == "system_envoy_admin") << cluster.name;
  }
}

TEST(HealthSpecifier, IsKeptWithinBounds) {
  health_v3::HealthCheckSpecifier message;
  message.mutable_interval()->set_seconds(INT64_MAX);
  auto& check = *add(message, "c", "127.0.0.1", 80).mutable_health_checks(0);
  check.mutable_timeout()->set_seconds(-5);
  check.mutable_interval()->set_nanos(1);
  check.mutable_unhealthy_threshold()->set_value(UINT32_MAX);
  for (int i = 0; i < 2000; ++i)
    message.add_cluster_health_checks();
  const auto specifier = decode(message);
  ASSERT_TRUE(specifier);
  EXPECT_EQ(specifier->interval, Milliseconds(3'600'000));
  EXPECT_EQ(specifier->clusters.size(), 1024U);
  const ProbeOptions& probe = specifier->clusters[0].probe;
  EXPECT_EQ(probe.timeout, Milliseconds(100));
  EXPECT_EQ(probe.interval, Milliseconds(100));
  EXPECT_EQ(probe.healthy_threshold, 1U);
  EXPECT_EQ(probe.unhealthy_threshold, 100U);
}

TEST(HealthSpecifier, RefusesWhatIsNoMessage) {
  const std::string bytes = "\xff\xff\xff";
  EXPECT_FALSE(decode_health_specifier(std::as_bytes(std::span(bytes))));
}

}  // namespace
}  // namespace mooring::discovery
