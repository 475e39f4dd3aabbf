#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fixtures.h"

namespace mooring::discovery {
namespace {

using snapshot::Cluster;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

TEST(DecodeCluster, TakesAnEdsClusterWithMutualTls) {
  Cluster expected;
  expected.name = expected.endpoints_name = "web";
  expected.type = Cluster::Type::eds;
  expected.connect_timeout = Milliseconds(3000);
  expected.tls.emplace();
  expected.tls->certificate = "identity";
  expected.tls->validation = "trust";
  expected.tls->peer_names = {{snapshot::SubjectAltNameMatcher::Type::uri,
                               {snapshot::StringMatcher::Kind::prefix, "spiffe://mesh/", false}}};
  expected.tls->alpn = {"kuma"};
  expected.tls->sni = "web.sni";
  EXPECT_EQ(taken<Cluster>(eds_cluster()), expected);

  auto named = eds_cluster();
  named.mutable_eds_cluster_config()->set_service_name("other");
  EXPECT_EQ(taken<Cluster>(named).endpoints_name, "other");
}

TEST(DecodeCluster, CallsOneLocalWhoseEndpointsAreLoopback) {
  EXPECT_TRUE(taken<Cluster>(static_cluster("127.0.0.1")).local);
  EXPECT_FALSE(taken<Cluster>(static_cluster("10.0.0.1")).local);
}

TEST(DecodeCluster, TakesHostNamesOnlyWhereTheyAreLookedUp) {
  auto message = static_cluster("db.example");
  EXPECT_THAT(rejection(message), HasSubstr("load_assignment"));
  message.set_type(cluster_v3::Cluster::STRICT_DNS);
  const Cluster cluster = taken<Cluster>(message);
  EXPECT_EQ(cluster.type, Cluster::Type::strict_dns);
  ASSERT_EQ(cluster.endpoints.localities.size(), 1u);
  EXPECT_EQ(cluster.endpoints.localities[0].endpoints[0].host_name, "db.example");
  EXPECT_EQ(cluster.endpoints.localities[0].endpoints[0].port, 8080);
}

TEST(DecodeCluster, TakesAPassthroughWithItsSourceAddress) {
  cluster_v3::Cluster message;
  message.set_name("passthrough");
  message.set_type(cluster_v3::Cluster::ORIGINAL_DST);
  message.set_lb_policy(cluster_v3::Cluster::CLUSTER_PROVIDED);
  message.mutable_upstream_bind_config()->mutable_source_address()->set_address("127.0.0.6");
  const Cluster cluster = taken<Cluster>(message);
  EXPECT_EQ(cluster.type, Cluster::Type::original_dst);
  EXPECT_EQ(cluster.bind, parse_ip("127.0.0.6").value());

  message.mutable_upstream_bind_config()->mutable_source_address()->set_port_value(99);
  EXPECT_EQ(rejection(message), "upstream_bind_config.source_address.port_value: is not 0");
}

TEST(DecodeCluster, TakesAUnixSocketAsWhatItIs) {
  auto message = static_cluster("127.0.0.1");
  auto* address = message.mutable_load_assignment()
                      ->mutable_endpoints(0)
                      ->mutable_lb_endpoints(0)
                      ->mutable_endpoint()
                      ->mutable_address();
  address->mutable_pipe()->set_path("/run/spire.sock");
  EXPECT_EQ(taken<PipeCluster>(message), (PipeCluster{"local", "/run/spire.sock"}));
}

TEST(DecodeCluster, TakesTheLimitOfConnections) {
  auto message = eds_cluster();
  auto* high = message.mutable_circuit_breakers()->add_thresholds();
  high->set_priority(core_v3::HIGH);
  high->mutable_max_connections()->set_value(1);
  EXPECT_EQ(taken<Cluster>(message).circuit_breakers.max_connections, 1024u);
  message.mutable_circuit_breakers()->add_thresholds()->mutable_max_connections()->set_value(7);
  EXPECT_EQ(taken<Cluster>(message).circuit_breakers.max_connections, 7u);
}

TEST(DecodeCluster, TakesWhatChoosesEndpoints) {
  auto message = eds_cluster();
  message.set_lb_policy(cluster_v3::Cluster::RING_HASH);
  auto* ring = message.mutable_ring_hash_lb_config();
  ring->mutable_minimum_ring_size()->set_value(64);
  ring->set_hash_function(cluster_v3::Cluster::RingHashLbConfig::MURMUR_HASH_2);
  message.mutable_common_lb_config()->mutable_healthy_panic_threshold()->set_value(30);
  message.mutable_common_lb_config()->mutable_locality_weighted_lb_config();
  snapshot::LoadBalancing expected;
  expected.policy = snapshot::LbPolicy::ring_hash;
  expected.minimum_ring_size = 64;
  expected.murmur_hash = true;
  expected.panic_threshold_percent = 30;
  expected.locality_weighted = true;
  EXPECT_EQ(taken<Cluster>(message).lb, expected);

  message.set_lb_policy(cluster_v3::Cluster::MAGLEV);
  message.mutable_maglev_lb_config()->mutable_table_size()->set_value(251);
  EXPECT_EQ(taken<Cluster>(message).lb.maglev_table_size, 251u);
  message.mutable_maglev_lb_config()->mutable_table_size()->set_value(250);
  EXPECT_EQ(rejection(message), "maglev_lb_config.table_size: is no prime number");
}

TEST(DecodeCluster, TakesOutlierDetectionWithEnvoysDefaults) {
  auto message = eds_cluster();
  auto* detection = message.mutable_outlier_detection();
  detection->mutable_consecutive_local_origin_failure()->set_value(2);
  detection->mutable_base_ejection_time()->set_seconds(600);
  detection->set_split_external_local_origin_errors(true);
  snapshot::OutlierDetection expected;
  expected.consecutive_local_origin_failure = 2;
  expected.base_ejection_time = expected.max_ejection_time = Milliseconds(600'000);
  expected.split_external_local_origin_errors = true;
  EXPECT_EQ(taken<Cluster>(message).outlier_detection, expected);

  detection->mutable_enforcing_success_rate()->set_value(101);
  EXPECT_EQ(rejection(message),
            "outlier_detection.enforcing_success_rate: is 101, not between 0 and 100");
}

TEST(DecodeCluster, TakesTcpHealthChecksAndWarnsOfOthers) {
  auto message = eds_cluster();
  auto* check = message.add_health_checks();
  check->mutable_timeout()->set_seconds(1);
  check->mutable_interval()->set_nanos(1);
  check->mutable_tcp_health_check()->mutable_send()->set_text("50494e47");
  check->mutable_tcp_health_check()->add_receive()->set_binary("PONG");
  const Cluster cluster = taken<Cluster>(message);
  ASSERT_EQ(cluster.health_checks.size(), 1u);
  EXPECT_EQ(cluster.health_checks[0].send, "PING");
  EXPECT_THAT(cluster.health_checks[0].receive, ElementsAre("PONG"));
  EXPECT_EQ(cluster.health_checks[0].interval, Milliseconds(1));

  check->mutable_tcp_health_check()->mutable_send()->set_text("5");
  EXPECT_THAT(rejection(message), HasSubstr("is no hexadecimal text"));

  check->mutable_http_health_check()->set_path("/health");
  const DecodeResult result = decode_message(message);
  ASSERT_TRUE(result);
  EXPECT_THAT(std::get<Cluster>(result->resource).health_checks, IsEmpty());
  ASSERT_EQ(result->warnings.size(), 1u);
  EXPECT_EQ(result->warnings[0].field, "health_checks[0]");
}

TEST(DecodeCluster, TakesSocketsByTheMetadataOfEndpoints) {
  auto message = eds_cluster();
  auto* match = message.add_transport_socket_matches();
  match->set_name("plain");
  (*match->mutable_match()->mutable_fields())["tls"].set_string_value("no");
  pack_empty("envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer",
             *match->mutable_transport_socket()->mutable_typed_config());
  const Cluster cluster = taken<Cluster>(message);
  EXPECT_THAT(cluster.socket_matches,
              ElementsAre(snapshot::SocketMatch{"plain", {{"tls", "no"}}, std::nullopt}));
  (*match->mutable_match()->mutable_fields())["tls"].set_bool_value(false);
  EXPECT_EQ(rejection(message), "transport_socket_matches[0].match: has a value that is no string");
}

TEST(DecodeCluster, RejectsWhatItCannotDo) {
  auto message = eds_cluster();
  message.set_type(cluster_v3::Cluster::LOGICAL_DNS);
  EXPECT_EQ(rejection(message), "type: is not supported");

  message = eds_cluster();
  message.set_lb_policy(cluster_v3::Cluster::LOAD_BALANCING_POLICY_CONFIG);
  EXPECT_EQ(rejection(message), "lb_policy: is not supported");

  message = eds_cluster();
  message.mutable_eds_cluster_config()->mutable_eds_config()->mutable_api_config_source();
  EXPECT_EQ(rejection(message), "eds_cluster_config.eds_config: names another source than ADS");

  message = eds_cluster();
  pack_empty("envoy.extensions.transport_sockets.proxy_protocol.v3.ProxyProtocolUpstreamTransport",
             *message.mutable_transport_socket()->mutable_typed_config());
  EXPECT_THAT(rejection(message),
              HasSubstr("transport_socket.typed_config: is neither raw_buffer"));

  message = eds_cluster();
  (*message.mutable_typed_extension_protocol_options())["envoy.filters.network.thrift_proxy"];
  EXPECT_THAT(rejection(message), HasSubstr("typed_extension_protocol_options"));
}

TEST(DecodeCluster, HasTheNameThatTheResponseGives) {
  const std::string bytes = eds_cluster().SerializeAsString();
  EXPECT_TRUE(decode(kClusterType, "web", bytes));
  const DecodeResult result = decode(kClusterType, "other", bytes);
  ASSERT_FALSE(result);
  EXPECT_EQ(describe(result.error()), "other: name: is not what the response calls it");
}

TEST(DecodeEndpoints, TakesLocalitiesWeightsAndHealth) {
  endpoint_v3::ClusterLoadAssignment message;
  message.set_cluster_name("web");
  message.mutable_policy()->mutable_overprovisioning_factor()->set_value(200);
  auto* locality = message.add_endpoints();
  locality->mutable_locality()->set_zone("east");
  locality->set_priority(1);
  locality->mutable_load_balancing_weight()->set_value(3);
  auto* endpoint = locality->add_lb_endpoints();
  set_address(*endpoint->mutable_endpoint()->mutable_address(), "fd00::1", 80);
  endpoint->set_health_status(core_v3::DRAINING);
  endpoint->mutable_load_balancing_weight()->set_value(9);
  auto& metadata = *endpoint->mutable_metadata()->mutable_filter_metadata();
  (*metadata["envoy.transport_socket_match"].mutable_fields())["tls"].set_string_value("no");
  (*metadata["envoy.lb"].mutable_fields())["zone"].set_string_value("east");

  snapshot::LoadAssignment expected;
  expected.name = "web";
  expected.overprovisioning_percent = 200;
  snapshot::LbEndpoint one;
  one.address = parse_socket_address("[fd00::1]:80").value();
  one.weight = 9;
  one.health = snapshot::HealthStatus::draining;
  one.transport_socket_match = {{"tls", "no"}};
  expected.localities = {{"", "east", "", 1, 3, {one}}};
  EXPECT_EQ(taken<snapshot::LoadAssignment>(message), expected);
}

TEST(DecodeEndpoints, RejectsNumbersOutOfBounds) {
  endpoint_v3::ClusterLoadAssignment message;
  message.set_cluster_name("web");
  auto* endpoint = message.add_endpoints()->add_lb_endpoints();
  set_address(*endpoint->mutable_endpoint()->mutable_address(), "10.0.0.1", 65536);
  EXPECT_THAT(rejection(message), HasSubstr("port_value: is above 65535"));
  set_address(*endpoint->mutable_endpoint()->mutable_address(), "10.0.0.1", 80);
  endpoint->mutable_load_balancing_weight()->set_value(0);
  EXPECT_THAT(rejection(message), HasSubstr("load_balancing_weight: is 0"));
  endpoint->clear_load_balancing_weight();
  message.mutable_endpoints(0)->set_priority(129);
  EXPECT_THAT(rejection(message), HasSubstr("endpoints[0].priority"));
}

}  // namespace
}  // namespace mooring::discovery
