#include "snapshot/from_config.h"

#include <gtest/gtest.h>

namespace mooring::snapshot {
namespace {

config::AgentConfig one_service(config::TlsMode mode) {
  config::AgentConfig config;
  config.capture.other = config::OtherTraffic::refuse;
  config::Service service;
  service.name = "shop";
  service.port = 8080;
  service.mode = mode;
  service.idle_timeout = Milliseconds(7);
  config.services = {service};
  return config;
}

TEST(FromConfig, AStrictServiceIsOneChain) {
  const Resources resources = resources_from(one_service(config::TlsMode::strict), {});
  ASSERT_EQ(resources.listeners.size(), 1U);
  const Listener& listener = resources.listeners[0];
  EXPECT_FALSE(listener.tls_inspector);
  ASSERT_EQ(listener.chains.size(), 1U);
  const FilterChain& chain = listener.chains[0];
  ASSERT_TRUE(chain.tls);
  EXPECT_EQ(chain.tls->certificate, kIdentitySecret);
  EXPECT_EQ(chain.tls->validation, kTrustSecret);
  EXPECT_EQ(chain.authorization.size(), 1U);
  EXPECT_EQ(chain.clusters, (std::vector<WeightedCluster>{{"localhost_shop", 1}}));
  EXPECT_EQ(chain.idle_timeout, Milliseconds(7));
}

TEST(FromConfig, APermissiveServiceIsThreeAndOnlyTheMeshsIsAuthorized) {
  const Resources resources = resources_from(one_service(config::TlsMode::permissive), {});
  const Listener& listener = resources.listeners[0];
  EXPECT_TRUE(listener.tls_inspector);
  ASSERT_EQ(listener.chains.size(), 3U);
  EXPECT_EQ(listener.chains[0].match.transport_protocol, "raw_buffer");
  EXPECT_FALSE(listener.chains[0].tls);
  EXPECT_EQ(listener.chains[1].match.transport_protocol, "tls");
  EXPECT_FALSE(listener.chains[1].tls);
  EXPECT_TRUE(listener.chains[1].authorization.empty());
  EXPECT_EQ(listener.chains[2].match.transport_protocol, "tls");
  EXPECT_EQ(listener.chains[2].match.application_protocols, std::vector<std::string>{"kuma"});
  EXPECT_TRUE(listener.chains[2].tls);
  EXPECT_EQ(listener.chains[2].authorization.size(), 1U);
}

TEST(FromConfig, AnUpstreamIsAChainAndACluster) {
  config::AgentConfig config;
  config.tls.min_version = config::TlsVersion::tls13;
  config::Upstream upstream;
  upstream.name = "db";
  upstream.addresses = {{parse_prefix("10.0.0.0/24").value(), ""}};
  upstream.ports = {5432};
  upstream.endpoints = {{std::nullopt, "db.test", 5433}};
  upstream.spiffe_ids = {{"spiffe://shop.test/db", false}, {"spiffe://shop.test/dbs/", true}};
  upstream.sni = "db.mesh";
  upstream.lb_policy = config::LbPolicy::least_connections;
  upstream.connect_attempts = 4;
  config.upstreams = {upstream};
  const ResolvedNames names{{"db.test", {parse_ip("10.9.9.9").value()}}};
  const Resources resources = resources_from(config, names);
  ASSERT_EQ(resources.listeners.size(), 2U);
  EXPECT_EQ(resources.listeners[1].chains[0].max_connect_attempts, 4U);
  ASSERT_EQ(resources.clusters.size(), 2U);
  const Cluster& cluster = resources.clusters[1];
  EXPECT_EQ(cluster.type, Cluster::Type::static_list);
  EXPECT_EQ(cluster.endpoints.localities[0].endpoints[0].address->to_string(), "10.9.9.9:5433");
  EXPECT_EQ(cluster.lb.policy, LbPolicy::least_request);
  ASSERT_TRUE(cluster.tls);
  EXPECT_EQ(cluster.tls->sni, "db.mesh");
  EXPECT_EQ(cluster.tls->alpn, std::vector<std::string>{"kuma"});
  EXPECT_EQ(cluster.tls->parameters.min_version, config::TlsVersion::tls13);
  ASSERT_EQ(cluster.tls->peer_names.size(), 2U);
  EXPECT_EQ(cluster.tls->peer_names[1].matcher.kind, StringMatcher::Kind::prefix);

  EXPECT_TRUE(resources_from(config, {}).clusters[1].endpoints.localities.empty());
  config.upstreams[0].endpoints.clear();
  EXPECT_EQ(resources_from(config, {}).clusters[1].type, Cluster::Type::original_dst);
}

TEST(FromConfig, OtherTrafficIsAListenerForAllOfBothFamilies) {
  const Resources resources = resources_from({}, {});
  ASSERT_EQ(resources.listeners.size(), 1U);
  ASSERT_EQ(resources.listeners[0].match.size(), 2U);
  for (const DestinationMatch& match : resources.listeners[0].match) {
    EXPECT_EQ(match.port, 0);
    EXPECT_EQ(match.prefix.length, 0);
  }
  EXPECT_NE(resources.listeners[0].match[0].prefix.base.is_v4(),
            resources.listeners[0].match[1].prefix.base.is_v4());
}

}  // namespace
}  // namespace mooring::snapshot
