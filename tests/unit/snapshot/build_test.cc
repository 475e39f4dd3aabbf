#include "snapshot/build.h"

#include <gtest/gtest.h>

#include "snapshot/from_config.h"
#include "support/pki.h"

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

Resources shop_with(const identity::MaterialText& identity) {
  Resources resources = resources_from(shop(), {});
  resources.secrets = secrets_from(identity);
  return resources;
}

SocketAddress at(const char* text) {
  return parse_socket_address(text).value();
}

LoadAssignment assignment(const std::string& name, const std::vector<const char*>& addresses) {
  LocalityEndpoints locality;
  for (const char* address : addresses) {
    LbEndpoint endpoint;
    endpoint.address = at(address);
    locality.endpoints.push_back(std::move(endpoint));
  }
  LoadAssignment made;
  made.name = name;
  made.localities = {std::move(locality)};
  return made;
}

const ListenerPart& found(const SnapshotPtr& snapshot, Direction direction, const char* to) {
  return *snapshot->listeners[direction == Direction::outbound ? snapshot->find_outbound(at(to))
                                                               : snapshot->find_inbound(at(to))];
}

TEST(Snapshot, FindsListenersByDestination) {
  const ResolvedNames names{{"db.test", {parse_ip("10.9.9.9").value()}}};
  const SnapshotPtr snapshot = build(resources_from(shop(), names), nullptr).snapshot;
  EXPECT_EQ(found(snapshot, Direction::outbound, "10.0.0.7:5432").name, "outbound_db");
  EXPECT_EQ(found(snapshot, Direction::outbound, "10.9.9.9:5432").name, "outbound_db");
  EXPECT_EQ(snapshot->find_outbound(at("10.0.0.7:5433")), kOutboundOther);
  EXPECT_EQ(snapshot->find_outbound(at("10.0.1.7:5432")), kOutboundOther);
  EXPECT_EQ(snapshot->find_outbound(at("[fd00::7]:1")), kOutboundOther);
  EXPECT_EQ(found(snapshot, Direction::inbound, "10.0.0.2:8080").name, "inbound_shop");
  EXPECT_EQ(found(snapshot, Direction::inbound, "[fd00::2]:8080").name, "inbound_shop");
  EXPECT_EQ(snapshot->find_inbound(at("10.0.0.2:8081")), kInboundOther);
}

TEST(Snapshot, PrefersAnExactPortThenTheLongestPrefix) {
  const auto listener = [](const char* name, const char* prefix, std::uint16_t port) {
    Listener made;
    made.name = name;
    made.match = {{parse_prefix(prefix).value(), port}};
    return made;
  };
  Resources resources;
  resources.listeners = {listener("wide", "10.0.0.0/8", 80),
                         listener("narrow", "10.1.0.0/16", 80),
                         listener("host", "10.1.2.3/32", 80),
                         listener("any port", "10.1.2.3/32", 0),
                         listener("rest", "0.0.0.0/0", 0)};
  const SnapshotPtr snapshot = build(resources, nullptr).snapshot;
  for (const auto& [to, name] :
       std::vector<std::pair<const char*, const char*>>{{"10.1.2.3:80", "host"},
                                                        {"10.1.2.4:80", "narrow"},
                                                        {"10.2.2.3:80", "wide"},
                                                        {"10.1.2.3:81", "any port"},
                                                        {"10.1.2.4:81", "rest"}})
    EXPECT_EQ(found(snapshot, Direction::outbound, to).name, name) << to;
}

TEST(Snapshot, SharesWhatDidNotChange) {
  const SnapshotPtr first = build(resources_from(shop(), {}), nullptr).snapshot;
  config::AgentConfig changed = shop();
  changed.services[0].allow.clear();
  const SnapshotPtr second = build(resources_from(changed, {}), first.get()).snapshot;
  EXPECT_NE(&found(first, Direction::inbound, "10.0.0.2:8080"),
            &found(second, Direction::inbound, "10.0.0.2:8080"));
  EXPECT_EQ(first->clusters, second->clusters);
  EXPECT_EQ(first->endpoints, second->endpoints);
  EXPECT_EQ(first->listeners[kOutboundOther], second->listeners[kOutboundOther]);
  EXPECT_EQ(first->listener_index, second->listener_index);
  EXPECT_EQ(second->generation, 2U);
}

TEST(Snapshot, AnUpdateOfOneEndpointListSharesAllElse) {
  Resources resources;
  for (const char* name : {"one", "two"}) {
    Cluster cluster;
    cluster.name = name;
    cluster.type = Cluster::Type::eds;
    cluster.endpoints_name = name;
    resources.clusters.push_back(cluster);
    resources.endpoints.push_back(assignment(name, {"10.0.0.1:80"}));
    Listener listener;
    listener.name = name;
    listener.chains.resize(1);
    listener.chains[0].clusters = {{name, 1}};
    resources.listeners.push_back(listener);
  }
  const SnapshotPtr first = build(resources, nullptr).snapshot;
  resources.endpoints[1] = assignment("two", {"10.0.0.1:80", "10.0.0.2:80"});
  const SnapshotPtr second = build(resources, first.get()).snapshot;
  EXPECT_EQ(first->listeners, second->listeners);
  EXPECT_EQ(first->clusters, second->clusters);
  EXPECT_EQ(first->listener_index, second->listener_index);
  EXPECT_EQ(first->cluster_index, second->cluster_index);
  EXPECT_EQ(first->find_endpoints("one"), second->find_endpoints("one"));
  ASSERT_NE(first->find_endpoints("two"), second->find_endpoints("two"));
  EXPECT_EQ(second->find_endpoints("two")->list.size(), 2U);
}

TEST(Snapshot, OtherEndpointsAloneMakeWhatABuildOfAllMakes) {
  Resources resources;
  for (int i = 0; i < 200; ++i) {
    Cluster cluster;
    cluster.name = "cluster-" + std::to_string(i);
    cluster.type = Cluster::Type::eds;
    cluster.endpoints_name = i < 2 ? "shared" : cluster.name;
    resources.clusters.push_back(cluster);
    if (i > 0) resources.endpoints.push_back(assignment(cluster.endpoints_name, {"10.0.0.1:80"}));
  }
  const SnapshotPtr first = build(resources, nullptr).snapshot;
  LoadAssignment& shared = resources.endpoints[0];
  shared = assignment("shared", {"10.0.0.2:80", "10.0.0.3:80"});
  resources.endpoints.erase(resources.endpoints.begin() + 150);  // of cluster-151
  const LoadAssignment same = resources.endpoints[100];
  const SnapshotPtr second = with_endpoints(
      *first,
      {{"shared", &shared}, {"cluster-151", nullptr}, {same.name, &same}, {"nobody's", &same}});
  const SnapshotPtr built = build(resources, first.get()).snapshot;
  EXPECT_EQ(second->generation, built->generation);
  EXPECT_EQ(second->clusters, first->clusters);
  EXPECT_EQ(second->cluster_index, first->cluster_index);
  EXPECT_EQ(second->listeners, first->listeners);
  ASSERT_EQ(second->endpoints.size(), built->endpoints.size());
  int changed = 0;
  for (std::size_t i = 0; i < built->endpoints.size(); ++i) {
    EXPECT_EQ(static_cast<const LoadAssignment&>(*second->endpoints[i]),
              static_cast<const LoadAssignment&>(*built->endpoints[i]))
        << i;
    if (second->endpoints[i] != first->endpoints[i]) ++changed;
  }
  EXPECT_EQ(changed, 3);
  EXPECT_EQ(second->find_endpoints("cluster-0")->list.size(), 2U);
  EXPECT_EQ(first->find_endpoints("cluster-0")->list.size(), 1U);
}

TEST(Snapshot, TellsWhichClustersChanged) {
  Resources resources;
  for (int i = 0; i < 200; ++i) {
    Cluster cluster;
    cluster.name = "cluster-" + std::to_string(100 + i);
    cluster.type = Cluster::Type::eds;
    cluster.endpoints_name = cluster.name;
    resources.clusters.push_back(cluster);
    resources.endpoints.push_back(assignment(cluster.endpoints_name, {"10.0.0.1:80"}));
  }
  using Positions = std::vector<std::size_t>;
  const SnapshotPtr first = build(resources, nullptr).snapshot;
  EXPECT_EQ(changed_clusters(*first, nullptr).size(), 200U);
  resources.endpoints[7] = assignment("cluster-107", {"10.0.0.2:80"});
  resources.endpoints[150] = assignment("cluster-250", {"10.0.0.2:80"});
  resources.clusters[150].connect_timeout += Milliseconds(1);
  const SnapshotPtr second = build(resources, first.get()).snapshot;
  ASSERT_EQ(second->cluster_index, first->cluster_index);
  EXPECT_EQ(changed_clusters(*second, first.get()), (Positions{7, 150}));
  EXPECT_EQ(changed_clusters(*second, second.get()), Positions{});
  resources.clusters.erase(resources.clusters.begin());
  const SnapshotPtr third = build(resources, second.get()).snapshot;
  EXPECT_EQ(changed_clusters(*third, second.get()), Positions{});
  resources.clusters.push_back(resources.clusters.back());
  resources.clusters.back().name = "new";
  const SnapshotPtr fourth = build(resources, third.get()).snapshot;
  EXPECT_EQ(changed_clusters(*fourth, third.get()), Positions{fourth->find_cluster("new")});
}

TEST(Snapshot, AClusterThatTakesOtherEndpointsIsFoundByThem) {
  Resources resources;
  resources.clusters.resize(1);
  resources.clusters[0].name = "db";
  resources.clusters[0].type = Cluster::Type::eds;
  resources.clusters[0].endpoints_name = "blue";
  SnapshotPtr snapshot = build(resources, nullptr).snapshot;
  resources.clusters[0].endpoints_name = "green";
  snapshot = build(resources, snapshot.get()).snapshot;
  const LoadAssignment green = assignment("green", {"10.0.0.1:80"});
  snapshot = with_endpoints(*snapshot, {{"green", &green}});
  EXPECT_EQ(snapshot->find_endpoints("db")->list.size(), 1U);
}

TEST(Snapshot, AnEdsClusterWithoutItsAssignmentHasNoEndpoints) {
  Resources resources;
  resources.clusters.resize(1);
  resources.clusters[0].name = "db";
  resources.clusters[0].type = Cluster::Type::eds;
  resources.clusters[0].endpoints_name = "db";
  const SnapshotPtr snapshot = build(resources, nullptr).snapshot;
  ASSERT_NE(snapshot->find_endpoints("db"), nullptr);
  EXPECT_TRUE(snapshot->find_endpoints("db")->list.empty());
  EXPECT_EQ(snapshot->find_endpoints("web"), nullptr);
}

TEST(Snapshot, HostNamesOfEndpointsAreTheirAddresses) {
  Resources resources;
  resources.clusters.resize(1);
  Cluster& cluster = resources.clusters[0];
  cluster.name = "db";
  cluster.type = Cluster::Type::strict_dns;
  cluster.endpoints = assignment("db", {"10.0.0.9:1"});
  LbEndpoint named;
  named.host_name = "db.test";
  named.port = 5432;
  named.weight = 3;
  cluster.endpoints.localities[0].endpoints.push_back(named);
  EXPECT_EQ(host_names(resources), std::vector<std::string>{"db.test"});
  ResolvedNames names{{"db.test", {parse_ip("10.0.0.1").value(), parse_ip("10.0.0.2").value()}}};
  const SnapshotPtr first = build(resources, nullptr, names).snapshot;
  const auto& list = first->endpoints[0]->list;
  ASSERT_EQ(list.size(), 3U);
  EXPECT_EQ(list[2].address.to_string(), "10.0.0.2:5432");
  EXPECT_EQ(list[2].spec->weight, 3U);
  const SnapshotPtr second = build(resources, first.get(), names).snapshot;
  EXPECT_EQ(first->endpoints, second->endpoints);
  names["db.test"].pop_back();
  const SnapshotPtr third = build(resources, second.get(), names).snapshot;
  EXPECT_EQ(third->endpoints[0]->list.size(), 2U);
  EXPECT_EQ(third->clusters, first->clusters);
}

TEST(Snapshot, ARejectedClusterKeepsItsLastGoodVersion) {
  Resources resources = resources_from(shop(), {});
  const SnapshotPtr first = build(resources, nullptr).snapshot;
  resources.clusters.back().tls->peer_names[0].matcher = {
      StringMatcher::Kind::safe_regex, "a(", false};
  const Built second = build(resources, first.get());
  ASSERT_EQ(second.rejected.size(), 1U);
  EXPECT_EQ(second.rejected[0].resource, "db");
  EXPECT_EQ(second.rejected[0].field, "tls.peer_names");
  const std::size_t kept = second.snapshot->find_cluster("db");
  ASSERT_NE(kept, kNoMatch);
  EXPECT_EQ(second.snapshot->clusters[kept], first->clusters[first->find_cluster("db")]);
  EXPECT_EQ(build(resources, nullptr).snapshot->find_cluster("db"), kNoMatch);
}

TEST(Snapshot, ARejectedListenerThatNeverWasGoodRefuses) {
  Resources resources = resources_from(shop(), {});
  const Resources good = resources;
  Rule rule;
  rule.condition.kind = Condition::Kind::peer_name;
  rule.condition.text = {StringMatcher::Kind::safe_regex, "a(", false};
  const auto service = std::find_if(resources.listeners.begin(),
                                    resources.listeners.end(),
                                    [](const auto& one) { return one.name == "inbound_shop"; });
  service->chains[0].authorization[0].rules->rules = {rule};
  const Built built = build(resources, nullptr);
  ASSERT_EQ(built.rejected.size(), 1U);
  EXPECT_EQ(built.rejected[0].resource, "inbound_shop");
  const ListenerPart& refusing = found(built.snapshot, Direction::inbound, "10.0.0.2:8080");
  EXPECT_EQ(refusing.name, "inbound_shop");
  ASSERT_EQ(refusing.parts.size(), 1U);
  EXPECT_NE(refusing.parts[0].spec->not_served.find("authorization"), std::string::npos);

  const SnapshotPtr first = build(good, nullptr).snapshot;
  EXPECT_EQ(&found(build(resources, first.get()).snapshot, Direction::inbound, "10.0.0.2:8080"),
            &found(first, Direction::inbound, "10.0.0.2:8080"));
}

TEST(Snapshot, AChainNeedsAClusterUnlessItIsNotServed) {
  Resources resources;
  resources.listeners.resize(1);
  resources.listeners[0].name = "web";
  resources.listeners[0].chains.resize(1);
  EXPECT_EQ(build(resources, nullptr).rejected.size(), 1U);
  resources.listeners[0].chains[0].clusters = {{"web", 0}};
  EXPECT_EQ(build(resources, nullptr).rejected.size(), 1U);
  resources.listeners[0].chains[0].not_served = "HTTP";
  EXPECT_TRUE(build(resources, nullptr).rejected.empty());
}

TEST(Snapshot, ConditionsMayNotNestWithoutEnd) {
  Resources resources;
  resources.listeners.resize(1);
  resources.listeners[0].chains.resize(1);
  resources.listeners[0].chains[0].clusters = {{"web", 1}};
  Rule rule;
  for (int i = 0; i < 100; ++i) {
    Condition outer;
    outer.kind = Condition::Kind::none_of;
    outer.of = {rule.condition};
    rule.condition = outer;
  }
  resources.listeners[0].chains[0].authorization.resize(1);
  resources.listeners[0].chains[0].authorization[0].shadow = {{rule}, false, ""};
  ASSERT_EQ(build(resources, nullptr).rejected.size(), 1U);
}

TEST(Snapshot, RefusesOtherTrafficWhenAsked) {
  config::AgentConfig config;
  const auto built = [&config] { return build(resources_from(config, {}), nullptr).snapshot; };
  EXPECT_EQ(built()->listeners[kOutboundOther]->chains.size(), 1U);
  EXPECT_NE(built()->find_cluster("passthrough"), kNoMatch);
  config.capture.other = config::OtherTraffic::refuse;
  EXPECT_TRUE(built()->listeners[kOutboundOther]->chains.empty());
  EXPECT_TRUE(built()->listeners[kInboundOther]->chains.empty());
}

TEST(Secrets, BecomeOneTlsPartForAllThatWantTheSame) {
  const test::TestCa ca("shop.test");
  config::AgentConfig config = shop();
  config.upstreams.push_back(config.upstreams[0]);
  config.upstreams[1].name = "web";
  config.upstreams[1].spiffe_ids = {{"spiffe://shop.test/web", false}};
  Resources resources = resources_from(config, {});
  resources.secrets = secrets_from(ca.text("spiffe://shop.test/shop"));
  const SnapshotPtr snapshot = build(resources, nullptr).snapshot;
  EXPECT_EQ(snapshot->tls_parts.size(), 2U) << "one client, one server";
  const auto transport = [&](const char* name) {
    return snapshot->clusters[snapshot->find_cluster(name)]->transport;
  };
  ASSERT_NE(transport("db").part, nullptr);
  EXPECT_EQ(transport("db").part, transport("web").part);
  EXPECT_EQ(transport("web").peer_names[0].text, "spiffe://shop.test/web");
  EXPECT_EQ(snapshot->tls_parts[0]->material, snapshot->tls_parts[1]->material);
  ASSERT_NE(snapshot->own_identity(), nullptr);
  EXPECT_EQ(snapshot->own_identity()->spiffe_id, "spiffe://shop.test/shop");
}

TEST(Secrets, KeepTheirTicketKeysWhileTheyDoNotChange) {
  const test::TestCa ca("shop.test");
  const identity::MaterialText text = ca.text("spiffe://shop.test/shop");
  const SnapshotPtr first = build(shop_with(text), nullptr).snapshot;
  Resources resources = shop_with(text);
  resources.listeners.pop_back();
  resources.secrets.push_back({"another", TrustedCa{ca.cert_pem()}, {}});
  const SnapshotPtr second = build(resources, first.get()).snapshot;
  EXPECT_EQ(first->tls_parts, second->tls_parts);
  const SnapshotPtr third =
      build(shop_with(ca.text("spiffe://shop.test/shop")), second.get()).snapshot;
  ASSERT_EQ(third->tls_parts.size(), 2U);
  EXPECT_NE(second->tls_parts[0]->material, third->tls_parts[0]->material);
  EXPECT_EQ(second->find_secret(kTrustSecret), third->find_secret(kTrustSecret));
  EXPECT_NE(first->clusters.back(), third->clusters.back()) << "it has another certificate";
}

TEST(Secrets, ThatAreBrokenKeepTheLastGoodText) {
  const test::TestCa ca("shop.test");
  const SnapshotPtr first = build(shop_with(ca.text("spiffe://shop.test/shop")), nullptr).snapshot;
  Resources resources = shop_with(ca.text("spiffe://shop.test/shop"));
  std::get<TlsCertificate>(resources.secrets[0].value).key_pem = "no key";
  const Built second = build(resources, first.get());
  ASSERT_EQ(second.rejected.size(), 1U);
  EXPECT_EQ(second.rejected[0].resource, kIdentitySecret);
  EXPECT_EQ(second.rejected[0].field, "key");
  EXPECT_EQ(second.snapshot->find_secret(kIdentitySecret), first->find_secret(kIdentitySecret));
  EXPECT_EQ(second.snapshot->clusters, first->clusters);
}

TEST(Secrets, ThatAreMissingLeaveTheContextWithoutMaterial) {
  const SnapshotPtr snapshot = build(resources_from(shop(), {}), nullptr).snapshot;
  const Transport& transport = snapshot->clusters.back()->transport;
  EXPECT_NE(transport.tls, nullptr);
  EXPECT_EQ(transport.part, nullptr);
  EXPECT_EQ(snapshot->own_identity(), nullptr);
}

TEST(Secrets, AddTheirPeerNamesToThoseOfTheContext) {
  const test::TestCa ca("shop.test");
  Resources resources = shop_with(ca.text("spiffe://shop.test/shop"));
  SubjectAltNameMatcher name;
  name.matcher = {StringMatcher::Kind::safe_regex, "spiffe://other/.*", false};
  resources.secrets[1].peer_names = {name};
  const ClusterPtr cluster = build(resources, nullptr).snapshot->clusters.back();
  ASSERT_EQ(cluster->transport.peer_names.size(), 2U);
  const identity::NameMatcher& matcher = cluster->transport.peer_names[1];
  EXPECT_TRUE(identity::matches(matcher, {identity::NameType::uri, "spiffe://other/x"}));
  EXPECT_FALSE(identity::matches(matcher, {identity::NameType::uri, "spiffe://shop.test/db"}));
  EXPECT_FALSE(identity::matches(matcher, {identity::NameType::dns, "spiffe://other/x"}));
}

TEST(Transport, OfAServerWithoutVerifiedPeersIsRejected) {
  const auto rejected = [](auto change) {
    Resources resources = resources_from(shop(), {});
    Listener& listener = resources.listeners[1];
    change(*listener.chains[0].tls);
    const Built built = build(resources, nullptr);
    return built.rejected.empty() ? "" : built.rejected[0].field;
  };
  EXPECT_EQ(rejected([](TlsContext&) {}), "");
  EXPECT_EQ(rejected([](TlsContext& tls) { tls.require_client_certificate = false; }),
            "tls.require_client_certificate");
  EXPECT_EQ(rejected([](TlsContext& tls) { tls.validation = ""; }),
            "tls.require_client_certificate");
  EXPECT_EQ(rejected([](TlsContext& tls) { tls.certificate = ""; }), "tls.certificate");
  EXPECT_EQ(rejected([](TlsContext& tls) {
              tls.parameters.min_version = config::TlsVersion::tls13;
              tls.parameters.max_version = config::TlsVersion::tls12;
            }),
            "tls.parameters");
}

TEST(Transport, OfAnEndpointIsThatOfTheFirstMatch) {
  Cluster cluster;
  cluster.tls.emplace().sni = "default";
  cluster.socket_matches = {{"plain", {{"tls", "off"}}, std::nullopt}, {"any", {}, TlsContext{}}};
  cluster.socket_matches[1].tls->sni = "second";
  Resources resources;
  resources.clusters = {cluster};
  LbEndpoint endpoint;
  {
    const ClusterPtr part = build(resources, nullptr).snapshot->clusters[0];
    EXPECT_EQ(part->transport_for(&endpoint).tls->sni, "second") << "no label is asked for";
    endpoint.transport_socket_match = {{"tls", "off"}, {"zone", "east"}};
    EXPECT_EQ(part->transport_for(&endpoint).tls, nullptr);
  }
  resources.clusters[0].socket_matches.pop_back();
  const ClusterPtr part = build(resources, nullptr).snapshot->clusters[0];
  endpoint.transport_socket_match = {{"tls", "on"}};
  EXPECT_EQ(part->transport_for(&endpoint).tls->sni, "default");
  EXPECT_EQ(part->transport_for(nullptr).tls->sni, "default");
  EXPECT_TRUE(part->may_use_tls());
}

}  // namespace
}  // namespace mooring::snapshot
