#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fixtures.h"

namespace mooring::discovery {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;
namespace route_v3 = envoy::config::route::v3;

constexpr const char* kRouter = "envoy.extensions.filters.http.router.v3.Router";

hcm_v3::HttpConnectionManager manager(const std::vector<route_v3::Route>& routes) {
  hcm_v3::HttpConnectionManager out;
  auto* host = out.mutable_route_config()->add_virtual_hosts();
  for (const route_v3::Route& route : routes)
    *host->add_routes() = route;
  pack_empty(kRouter, *out.add_http_filters()->mutable_typed_config());
  return out;
}

route_v3::Route forward(const std::string& prefix, const std::string& rewritten) {
  route_v3::Route out;
  out.mutable_match()->set_prefix(prefix);
  out.mutable_route()->set_cluster("some");
  out.mutable_route()->set_prefix_rewrite(rewritten);
  return out;
}

route_v3::Route answer(const std::string& path, const std::string& body) {
  route_v3::Route out;
  out.mutable_match()->set_path(path);
  out.mutable_direct_response()->set_status(200);
  out.mutable_direct_response()->mutable_body()->set_inline_string(body);
  return out;
}

/// "system_envoy_admin" as recorded: readiness for all, everything for who is known.
listener_v3::Listener admin_listener() {
  listener_v3::Listener out;
  out.set_name("system_envoy_admin");
  set_address(*out.mutable_address(), "10.0.0.1", 9901);
  pack(manager({forward("/ready", "/ready")}),
       *out.add_filter_chains()->add_filters()->mutable_typed_config());
  auto* chain = out.add_filter_chains();
  chain->mutable_filter_chain_match()->set_transport_protocol("tls");
  set_downstream_tls(*chain->mutable_transport_socket(), common_tls());
  pack(manager({forward("/ready", "/ready"), forward("/", "/")}),
       *chain->add_filters()->mutable_typed_config());
  return out;
}

listener_v3::Listener data_listener(const std::vector<route_v3::Route>& routes) {
  listener_v3::Listener out;
  out.set_name("system_dynamicconfig");
  out.mutable_address()->mutable_pipe()->set_path("/tmp/config.sock");
  pack(manager(routes), *out.add_filter_chains()->add_filters()->mutable_typed_config());
  return out;
}

TEST(DecodeSystem, TakesTheAdminListenerUnderBothNames) {
  auto message = admin_listener();
  const auto admin = taken<SystemListener>(message);
  EXPECT_EQ(admin.kind, SystemListener::Kind::admin);
  EXPECT_EQ(admin.address, parse_socket_address("10.0.0.1:9901").value());
  ASSERT_TRUE(admin.tls);
  EXPECT_EQ(admin.tls->certificate, "identity");
  message.set_name("kuma:envoy:admin");
  EXPECT_EQ(taken<SystemListener>(message).kind, SystemListener::Kind::admin);
}

TEST(DecodeSystem, NeverOpensTheAdminListenerToStrangers) {
  auto open = admin_listener();
  pack(manager({forward("/", "/")}),
       *open.mutable_filter_chains(0)->mutable_filters(0)->mutable_typed_config());
  EXPECT_EQ(taken<snapshot::Listener>(open).chains.size(), 2u) << "is none of ours: refused";

  auto message = admin_listener();
  tls_v3::DownstreamTlsContext lax;
  *lax.mutable_common_tls_context() = common_tls();
  pack(lax, *message.mutable_filter_chains(1)->mutable_transport_socket()->mutable_typed_config());
  EXPECT_THAT(rejection(message), HasSubstr("lets everybody in"));
}

TEST(DecodeSystem, IsNotFooledByAnApplicationsListener) {
  auto message = admin_listener();
  message.set_name("inbound");
  EXPECT_NE(taken<snapshot::Listener>(message).chains[0].not_served, "");
  message = data_listener({answer("/dns", "{}")});
  message.set_name("inbound");
  EXPECT_EQ(rejection(message), "address: is no socket address");
}

TEST(DecodeSystem, TakesDynamicConfigurationAsData) {
  route_v3::Route not_modified = answer("/dns", "");
  not_modified.mutable_direct_response()->set_status(304);
  auto* header = not_modified.mutable_match()->add_headers();
  header->set_name("If-None-Match");
  header->mutable_string_match()->set_exact("x");
  const auto got = taken<SystemListener>(
      data_listener({not_modified, answer("/dns", "{\"records\":[]}"), answer("/otel", "{}")}));
  EXPECT_EQ(got.kind, SystemListener::Kind::dynamic_config);
  EXPECT_THAT(got.bodies, ElementsAre(Pair("/dns", "{\"records\":[]}"), Pair("/otel", "{}")));
  EXPECT_THAT(rejection(data_listener({answer("/dns", "a"), answer("/dns", "b")})),
              HasSubstr("is there twice"));
}

TEST(DecodeSystem, TakesTheMetricsListener) {
  listener_v3::Listener message;
  message.set_name("system_meshmetric_prometheus_default");
  set_address(*message.mutable_address(), "10.0.0.1", 5670);
  pack(manager({forward("/metrics", "/meshmetric")}),
       *message.add_filter_chains()->add_filters()->mutable_typed_config());
  const auto got = taken<SystemListener>(message);
  EXPECT_EQ(got.kind, SystemListener::Kind::metrics);
  EXPECT_EQ(got.path, "/metrics");
  EXPECT_EQ(got.address, parse_socket_address("10.0.0.1:5670").value());
  EXPECT_EQ(got.tls, std::nullopt);
}

TEST(DecodeSystem, RejectsFiltersThatItWouldNotApply) {
  auto inside = manager({answer("/dns", "{}")});
  pack_empty("envoy.extensions.filters.http.rbac.v3.RBAC",
             *inside.mutable_http_filters(0)->mutable_typed_config());
  auto message = data_listener({answer("/dns", "{}")});
  pack(inside, *message.mutable_filter_chains(0)->mutable_filters(0)->mutable_typed_config());
  EXPECT_THAT(rejection(message), HasSubstr("is a filter that a system listener does not have"));
}

}  // namespace
}  // namespace mooring::discovery
