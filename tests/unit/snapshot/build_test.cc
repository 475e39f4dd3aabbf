#include "snapshot/build.h"

#include <gtest/gtest.h>

#include "snapshot/from_config.h"

namespace mooring::snapshot {
namespace {

config::AgentConfig shop() {
  config::AgentConfig config;
  config::Service service;
  service.name = "shop";
  service.port = 8080;
  service.allow = {{"spiffe://shop.test/client", false}};
  config.services = {service};
  config::Upstream upstream;
  upstream.name = "db";
  upstream.addresses = {{parse_prefix("10.0.0.0/24").value(), ""}, {std::nullopt, "db.test"}};
  upstream.ports = {5432};
  upstream.spiffe_ids = {{"spiffe://shop.test/db", false}};
  config.upstreams = {upstream};
  return config;
}

SocketAddress at(const char* text) {
  return parse_socket_address(text).value();
}

TEST(Snapshot, FindsListenersByDestination) {
  const ResolvedNames names{{"db.test", {parse_ip("10.9.9.9").value()}}};
  const SnapshotPtr snapshot = build(resources_from(shop(), names), nullptr, nullptr).snapshot;
  EXPECT_EQ(snapshot->listeners[snapshot->find_outbound(at("10.0.0.7:5432"))]->name, "outbound_db");
  EXPECT_EQ(snapshot->listeners[snapshot->find_outbound(at("10.9.9.9:5432"))]->name, "outbound_db");
  EXPECT_EQ(snapshot->find_outbound(at("10.0.0.7:5433")), kOutboundOther);
  EXPECT_EQ(snapshot->find_outbound(at("10.0.1.7:5432")), kOutboundOther);
  EXPECT_EQ(snapshot->listeners[snapshot->find_inbound(at("10.0.0.2:8080"))]->name, "inbound_shop");
  EXPECT_EQ(snapshot->listeners[snapshot->find_inbound(at("[fd00::2]:8080"))]->name,
            "inbound_shop");
  EXPECT_EQ(snapshot->find_inbound(at("10.0.0.2:8081")), kInboundOther);
}

TEST(Snapshot, PrefersTheLongestPrefix) {
  Resources resources;
  Listener wide;
  wide.name = "wide";
  wide.match = {{parse_prefix("10.0.0.0/8").value(), 80}};
  Listener narrow = wide;
  narrow.name = "narrow";
  narrow.match = {{parse_prefix("10.1.0.0/16").value(), 80}};
  resources.listeners = {wide, narrow};
  const SnapshotPtr snapshot = build(resources, nullptr, nullptr).snapshot;
  EXPECT_EQ(snapshot->listeners[snapshot->find_outbound(at("10.1.2.3:80"))]->name, "narrow");
  EXPECT_EQ(snapshot->listeners[snapshot->find_outbound(at("10.2.2.3:80"))]->name, "wide");
}

TEST(Snapshot, SharesWhatDidNotChange) {
  const SnapshotPtr first = build(resources_from(shop(), {}), nullptr, nullptr).snapshot;
  config::AgentConfig changed = shop();
  changed.services[0].allow.clear();
  const SnapshotPtr second = build(resources_from(changed, {}), nullptr, first.get()).snapshot;
  const auto position = [](const SnapshotPtr& snapshot) {
    return snapshot->find_inbound(at("10.0.0.2:8080"));
  };
  EXPECT_NE(first->listeners[position(first)], second->listeners[position(second)]);
  EXPECT_EQ(first->clusters[1], second->clusters[1]);
  EXPECT_EQ(first->listeners[kOutboundOther], second->listeners[kOutboundOther]);
  EXPECT_EQ(second->generation, 2U);
}

TEST(Snapshot, KeepsTheLastGoodVersionOfARejectedCluster) {
  const SnapshotPtr first = build(resources_from(shop(), {}), nullptr, nullptr).snapshot;
  config::AgentConfig broken = shop();
  broken.upstreams[0].spiffe_ids.clear();
  const Built second = build(resources_from(broken, {}), nullptr, first.get());
  ASSERT_EQ(second.rejected.size(), 1U);
  EXPECT_EQ(second.rejected[0].resource, "db");
  const std::size_t listener = second.snapshot->find_outbound(at("10.0.0.7:5432"));
  EXPECT_FALSE(second.snapshot->clusters[second.snapshot->cluster_of_listener[listener]]
                   ->expected_peers.empty());

  const Built fresh = build(resources_from(broken, {}), nullptr, nullptr);
  EXPECT_EQ(fresh.snapshot->cluster_of_listener[fresh.snapshot->find_outbound(at("10.0.0.7:5432"))],
            kNoMatch);
}

TEST(Snapshot, RefusesOtherTrafficWhenAsked) {
  Resources resources;
  EXPECT_NE(build(resources, nullptr, nullptr).snapshot->cluster_of_listener[kOutboundOther],
            kNoMatch);
  resources.other = config::OtherTraffic::refuse;
  EXPECT_EQ(build(resources, nullptr, nullptr).snapshot->cluster_of_listener[kOutboundOther],
            kNoMatch);
  EXPECT_EQ(build(resources, nullptr, nullptr).snapshot->cluster_of_listener[kInboundOther],
            kNoMatch);
}

}  // namespace
}  // namespace mooring::snapshot
