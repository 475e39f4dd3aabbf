#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fixtures.h"
#include "xdsapi/file_access_log.pb.h"
#include "xdsapi/local_ratelimit.pb.h"
#include "xdsapi/set_filter_state.pb.h"

namespace mooring::discovery {
namespace {

using snapshot::Listener;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr const char* kTlsInspector =
    "envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector";
constexpr const char* kHcm =
    "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";

/// A chain with a TCP proxy more, without TLS.
listener_v3::FilterChain* add_plain_chain(listener_v3::Listener& message) {
  auto* chain = message.add_filter_chains();
  pack(tcp_proxy(), *chain->add_filters()->mutable_typed_config());
  return chain;
}

google::protobuf::Any& config_of(listener_v3::Listener& message, int filter) {
  return *message.mutable_filter_chains(0)->mutable_filters(filter)->mutable_typed_config();
}

TEST(DecodeListener, TakesAnInboundOneWithMutualTlsAndAuthorization) {
  const Listener listener = taken<Listener>(inbound_listener());
  EXPECT_EQ(listener.name, "inbound");
  EXPECT_EQ(listener.direction, snapshot::Direction::inbound);
  EXPECT_THAT(listener.match,
              ElementsAre(snapshot::DestinationMatch{parse_prefix("10.0.0.1").value(), 5432}));
  EXPECT_EQ(listener.bind, std::nullopt);
  EXPECT_FALSE(listener.server_first);
  ASSERT_EQ(listener.chains.size(), 1u);
  const snapshot::FilterChain& chain = listener.chains[0];
  ASSERT_TRUE(chain.tls);
  EXPECT_EQ(chain.tls->certificate, "identity");
  EXPECT_EQ(chain.tls->validation, "trust");
  EXPECT_TRUE(chain.tls->require_client_certificate);
  EXPECT_EQ(chain.authorization.size(), 1u);
  EXPECT_THAT(chain.clusters, ElementsAre(snapshot::WeightedCluster{"local", 1}));
  EXPECT_EQ(chain.idle_timeout, Milliseconds(3'600'000)) << "Envoy's default";
  EXPECT_EQ(chain.max_connect_attempts, 1u);
  EXPECT_EQ(chain.not_served, "");
}

TEST(DecodeListener, BindsUnlessItIsToldNotTo) {
  auto message = outbound_listener();
  message.clear_bind_to_port();
  const Listener listener = taken<Listener>(message);
  EXPECT_EQ(listener.bind, parse_socket_address("240.0.0.1:5432").value());
  EXPECT_THAT(listener.match, IsEmpty());
}

TEST(DecodeListener, MatchesAWholeFamilyForPassthrough) {
  auto message = outbound_listener();
  message.mutable_bind_to_port()->set_value(true);
  message.mutable_use_original_dst()->set_value(true);
  EXPECT_THAT(rejection(message), HasSubstr("use_original_dst"));
  set_address(*message.mutable_address(), "::", 15001);
  EXPECT_THAT(taken<Listener>(message).match,
              ElementsAre(snapshot::DestinationMatch{parse_prefix("::/0").value(), 0}));
  set_address(*message.mutable_address(), "0.0.0.0", 15001);
  EXPECT_THAT(taken<Listener>(message).match,
              ElementsAre(snapshot::DestinationMatch{parse_prefix("0.0.0.0/0").value(), 0}));
  message.mutable_bind_to_port()->set_value(false);
  EXPECT_THAT(taken<Listener>(message).match,
              ElementsAre(snapshot::DestinationMatch{parse_prefix("0.0.0.0/0").value(), 15001}));
}

TEST(DecodeListener, LetsAServerSpeakFirstWherePlainBytesAreTaken) {
  auto message = inbound_listener();
  add_plain_chain(message)->mutable_filter_chain_match()->set_transport_protocol("raw_buffer");
  message.mutable_filter_chains(0)->mutable_filter_chain_match()->set_transport_protocol("tls");
  message.mutable_filter_chains(0)->mutable_filter_chain_match()->add_application_protocols("kuma");
  pack_empty(kTlsInspector, *message.add_listener_filters()->mutable_typed_config());
  const Listener listener = taken<Listener>(message);
  EXPECT_TRUE(listener.tls_inspector);
  EXPECT_TRUE(listener.server_first);
  EXPECT_THAT(listener.chains[0].match.application_protocols, ElementsAre("kuma"));
}

TEST(DecodeListener, RejectsChainsThatCannotBeToldApart) {
  auto message = outbound_listener();
  add_plain_chain(message);
  EXPECT_THAT(rejection(message),
              HasSubstr("filter_chains[1].filter_chain_match: is that of another chain"));
  auto* match = message.mutable_filter_chains(1)->mutable_filter_chain_match();
  match->add_server_names("a.example");
  match->add_server_names("b.example");
  EXPECT_EQ(taken<Listener>(message).chains.size(), 2u);
  auto* third = add_plain_chain(message)->mutable_filter_chain_match();
  third->add_server_names("c.example");
  third->add_server_names("b.example");
  EXPECT_THAT(rejection(message), HasSubstr("filter_chains[2].filter_chain_match"));
  third->set_transport_protocol("tls");
  EXPECT_EQ(taken<Listener>(message).chains.size(), 3u);
}

/// As Envoy: names and protocols are known only where the inspector is asked for.
TEST(DecodeListener, AddsNoInspectorForAMatch) {
  auto message = outbound_listener();
  EXPECT_FALSE(taken<Listener>(message).tls_inspector);
  auto* match = message.mutable_filter_chains(0)->mutable_filter_chain_match();
  match->add_server_names("*.B.example");
  match->mutable_destination_port()->set_value(443);
  auto* range = match->add_prefix_ranges();
  range->set_address_prefix("198.51.100.77");
  range->mutable_prefix_len()->set_value(24);
  const Listener listener = taken<Listener>(message);
  EXPECT_FALSE(listener.tls_inspector);
  snapshot::FilterChainMatch expected;
  expected.destination_port = 443;
  expected.server_names = {"*.b.example"};
  expected.prefix_ranges = {parse_prefix("198.51.100.0/24").value()};
  EXPECT_EQ(listener.chains[0].match, expected);

  match->set_server_names(0, "a.*.example");
  EXPECT_THAT(rejection(message), HasSubstr("server_names: has a wildcard"));
}

TEST(DecodeListener, AcknowledgesHttpAndServesItNot) {
  auto message = inbound_listener();
  pack_empty(kHcm, config_of(message, 1));
  EXPECT_EQ(taken<Listener>(message).chains[0].not_served, "HTTP is not served by this agent");
}

TEST(DecodeListener, SkipsNoFilterThatItDoesNotKnow) {
  auto message = inbound_listener();
  pack_empty("envoy.extensions.filters.network.ext_authz.v3.ExtAuthz", config_of(message, 0));
  EXPECT_THAT(rejection(message),
              HasSubstr("filters[0].typed_config: is a filter that this agent does not have"));

  message = inbound_listener();
  pack(tcp_proxy(), config_of(message, 0));
  EXPECT_THAT(rejection(message), HasSubstr("only the last filter ends a chain"));
  message.mutable_filter_chains(0)->mutable_filters()->RemoveLast();
  pack(allow_only("x"), config_of(message, 0));
  EXPECT_THAT(rejection(message), HasSubstr("only the last filter ends a chain"));
  message.mutable_filter_chains(0)->clear_filters();
  EXPECT_THAT(rejection(message), HasSubstr("filters: is empty"));

  message = inbound_listener();
  pack_empty("envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol",
             *message.add_listener_filters()->mutable_typed_config());
  EXPECT_THAT(rejection(message), HasSubstr("listener_filters[0].typed_config"));
}

TEST(DecodeListener, TakesWeightsTimeoutsAndAttempts) {
  auto message = outbound_listener();
  tcp_v3::TcpProxy proxy;
  auto* heavy = proxy.mutable_weighted_clusters()->add_clusters();
  heavy->set_name("a");
  heavy->set_weight(3);
  auto* light = proxy.mutable_weighted_clusters()->add_clusters();
  light->set_name("b");
  light->set_weight(1);
  proxy.mutable_idle_timeout();
  proxy.mutable_max_connect_attempts()->set_value(5);
  pack(proxy, config_of(message, 0));
  const snapshot::FilterChain chain = taken<Listener>(message).chains[0];
  EXPECT_THAT(chain.clusters,
              ElementsAre(snapshot::WeightedCluster{"a", 3}, snapshot::WeightedCluster{"b", 1}));
  EXPECT_EQ(chain.idle_timeout, Milliseconds(0)) << "none";
  EXPECT_EQ(chain.max_connect_attempts, 5u);

  light->set_weight(0xffffffff);
  pack(proxy, config_of(message, 0));
  EXPECT_THAT(rejection(message), HasSubstr("weighted_clusters.clusters: has weights"));
}

TEST(DecodeListener, TakesALimitOfConnections) {
  envoy::extensions::filters::network::local_ratelimit::v3::LocalRateLimit limit;
  limit.mutable_token_bucket()->set_max_tokens(50);
  limit.mutable_token_bucket()->mutable_fill_interval()->set_seconds(1);
  auto message = inbound_listener();
  pack(limit, config_of(message, 0));
  EXPECT_THAT(taken<Listener>(message).chains[0].rate_limits,
              ElementsAre(snapshot::TokenBucket{50, 1, Milliseconds(1000)}));
  limit.mutable_token_bucket()->set_max_tokens(0);
  pack(limit, config_of(message, 0));
  EXPECT_THAT(rejection(message), HasSubstr("token_bucket.max_tokens: is 0"));
}

TEST(DecodeListener, PassesOverStateThatOnlyRoutesRead) {
  envoy::extensions::filters::network::set_filter_state::v3::Config state;
  state.add_on_downstream_tls_handshake()->set_object_key("kuma.mesh_rate_limit.match.spiffe_id");
  auto message = inbound_listener();
  pack(state, config_of(message, 0));
  EXPECT_EQ(taken<Listener>(message).chains[0].clusters.size(), 1u);
  state.add_on_new_connection()->set_object_key("envoy.tcp_proxy.cluster");
  pack(state, config_of(message, 0));
  EXPECT_THAT(rejection(message), HasSubstr("sets a key that this agent does not know"));
}

TEST(DecodeListener, TakesAccessLogs) {
  envoy::extensions::access_loggers::file::v3::FileAccessLog text;
  text.set_path("/var/log/a");
  text.mutable_log_format()->mutable_text_format_source()->set_inline_string("%BYTES_SENT%\n");
  envoy::extensions::access_loggers::file::v3::FileAccessLog json;
  json.set_path("/tmp/fifo");
  auto& fields = *json.mutable_log_format()->mutable_json_format()->mutable_fields();
  fields["message"].set_string_value("%DURATION%");
  fields["address"].set_string_value("10.0.0.9:9999");
  json.mutable_log_format()->set_omit_empty_values(true);
  tcp_v3::TcpProxy proxy = tcp_proxy();
  pack(text, *proxy.add_access_log()->mutable_typed_config());
  pack(json, *proxy.add_access_log()->mutable_typed_config());
  pack_empty("envoy.extensions.access_loggers.open_telemetry.v3.OpenTelemetryAccessLogConfig",
             *proxy.add_access_log()->mutable_typed_config());
  auto message = outbound_listener();
  pack(proxy, config_of(message, 0));
  const DecodeResult result = decode_message(message);
  ASSERT_TRUE(result) << describe(result.error());
  EXPECT_THAT(
      std::get<Listener>(result->resource).chains[0].access_logs,
      ElementsAre(
          snapshot::AccessLog{"/var/log/a", "%BYTES_SENT%\n", "", false},
          snapshot::AccessLog{
              "/tmp/fifo", "", R"({"address":"10.0.0.9:9999","message":"%DURATION%"})", true}));
  ASSERT_EQ(result->warnings.size(), 1u);
  EXPECT_THAT(result->warnings[0].field, HasSubstr("access_log[2]"));

  text.mutable_log_format()->mutable_text_format_source()->set_inline_string("%NO_SUCH%");
  pack(text, *proxy.mutable_access_log(0)->mutable_typed_config());
  pack(proxy, config_of(message, 0));
  EXPECT_THAT(rejection(message), HasSubstr("unknown command %NO_SUCH%"));
  text.mutable_log_format()->mutable_text_format_source()->set_inline_string("%BYTES_SENT%");
  pack(text, *proxy.mutable_access_log(0)->mutable_typed_config());

  pack_empty("envoy.extensions.access_loggers.grpc.v3.TcpGrpcAccessLogConfig",
             *proxy.mutable_access_log(2)->mutable_typed_config());
  pack(proxy, config_of(message, 0));
  EXPECT_THAT(rejection(message), HasSubstr("is a logger that this agent does not have"));
}

TEST(DecodeListener, RejectsAJsonFormatThatIsNestedTooDeep) {
  envoy::extensions::access_loggers::file::v3::FileAccessLog json;
  json.set_path("/tmp/fifo");
  google::protobuf::Struct* at = json.mutable_log_format()->mutable_json_format();
  for (int i = 0; i < 20; ++i)
    at = (*at->mutable_fields())["a"].mutable_struct_value();
  tcp_v3::TcpProxy proxy = tcp_proxy();
  pack(json, *proxy.add_access_log()->mutable_typed_config());
  auto message = outbound_listener();
  pack(proxy, config_of(message, 0));
  EXPECT_THAT(rejection(message), HasSubstr("json_format: is nested too deep"));
}

}  // namespace
}  // namespace mooring::discovery
