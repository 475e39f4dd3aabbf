// The cases of tests/fixtures/kuma as TCP has to understand them: no resource of them is merely
// taken.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "recordings.h"
#include "snapshot/build.h"

namespace mooring::discovery {
namespace {

using snapshot::Condition;
using testing::ElementsAre;

template <class Value>
const Value& named(const std::vector<Value>& all, const std::string& name) {
  for (const Value& one : all)
    if (one.name == name) return one;
  ADD_FAILURE() << "no " << name;
  static const Value none{};
  return none;
}

const snapshot::FilterChain& only_chain(const snapshot::Resources& resources,
                                        const std::string& listener) {
  const auto& chains = named(resources.listeners, listener).chains;
  static const snapshot::FilterChain none;
  EXPECT_EQ(chains.size(), 1u) << listener;
  return chains.empty() ? none : chains.front();
}

/// "deny exact spiffe://...", in the order in which they are tried.
std::vector<std::string> rules_of(const snapshot::FilterChain& chain) {
  std::vector<std::string> out;
  for (const snapshot::Authorization& filter : chain.authorization) {
    for (const snapshot::Rule& rule : filter.rules.value_or(snapshot::RuleList{}).rules) {
      const bool exact = rule.condition.text.kind == snapshot::StringMatcher::Kind::exact;
      EXPECT_EQ(rule.condition.kind, Condition::Kind::peer_name);
      out.push_back((rule.allow ? "allow " : "deny ") + std::string(exact ? "" : "prefix ") +
                    rule.condition.text.text);
    }
  }
  return out;
}

/// "zone1 0 10.0.0.1:80": zone, priority and endpoints.
std::vector<std::string> localities_of(const snapshot::LoadAssignment& assignment) {
  std::vector<std::string> out;
  for (const snapshot::LocalityEndpoints& locality : assignment.localities) {
    std::string text = locality.zone + " " + std::to_string(locality.priority);
    for (const snapshot::LbEndpoint& endpoint : locality.endpoints)
      text += " " + (endpoint.address ? endpoint.address->to_string() : endpoint.host_name);
    out.push_back(text);
  }
  return out;
}

std::vector<std::string> peer_names_of(const snapshot::Cluster& cluster) {
  std::vector<std::string> out;
  for (const auto& name : cluster.tls.value_or(snapshot::TlsContext{}).peer_names)
    out.push_back(name.matcher.text);
  return out;
}

const std::string kDomain = "spiffe://default.mesh.local";

TEST(KumaCases, ARotationReplacesOnlyTheCertificate) {
  const std::string listener = "self_inbound_dp_tcp";
  const snapshot::Resources before = resources_of(own_case("cert-rotation/server", 3));
  const snapshot::Resources after = resources_of(own_case("cert-rotation/server"));
  const snapshot::Built first = snapshot::build(before, nullptr);
  const snapshot::Built second = snapshot::build(after, first.snapshot.get());
  EXPECT_TRUE(second.rejected.empty());
  EXPECT_EQ(before.listeners, after.listeners);
  EXPECT_EQ(before.secrets.size(), after.secrets.size());
  EXPECT_EQ(named(before.secrets, "system_trust_bundle"),
            named(after.secrets, "system_trust_bundle"));
  EXPECT_NE(named(before.secrets, "kri_mid_default_zone1__identity_"),
            named(after.secrets, "kri_mid_default_zone1__identity_"));
  EXPECT_EQ(only_chain(after, listener).tls->certificate, "kri_mid_default_zone1__identity_");
}

TEST(KumaCases, APermissionOfASectionIsForOneListener) {
  const snapshot::Resources got = resources_of(own_case("mtp-section/server"));
  EXPECT_THAT(rules_of(only_chain(got, "self_inbound_dp_tcp")),
              ElementsAre("deny " + kDomain + "/workload/evil",
                          "allow prefix " + kDomain,
                          "allow " + kDomain + "/workload/client"));
}

TEST(KumaCases, ConnectionsAreLimitedBesideAFilterState) {
  const snapshot::FilterChain chain =
      only_chain(resources_of(own_case("ratelimit-match/server")), "self_inbound_dp_tcp");
  EXPECT_EQ(chain.not_served, "");
  ASSERT_EQ(chain.rate_limits.size(), 1u);
  EXPECT_EQ(chain.rate_limits[0], (snapshot::TokenBucket{50, 50, Milliseconds(1000)}));
  EXPECT_THAT(rules_of(chain), ElementsAre("allow prefix " + kDomain));
}

TEST(KumaCases, RetriesOfTcpAreConnectAttempts) {
  const snapshot::Resources got = resources_of(own_case("meshretry-tcp-grpc/client"));
  EXPECT_EQ(only_chain(got, "kri_msvc_default_zone1__db_tcp").max_connect_attempts, 3u);
  EXPECT_EQ(only_chain(got, "kri_msvc_default_zone1__svr_tcp").max_connect_attempts, 7u);
  const snapshot::Resources plain = resources_of(own_case("meshretry-tcp-grpc/client-plain"));
  EXPECT_EQ(only_chain(plain, "kri_msvc_default_zone1__db_9000").max_connect_attempts, 3u);
}

TEST(KumaCases, ARemoteZoneIsItsIngress) {
  const snapshot::Resources got = resources_of(own_case("remote-zone/client"));
  const std::string db = "kri_msvc_default_zone2__db_tcp";
  EXPECT_THAT(localities_of(named(got.endpoints, db)), ElementsAre("zone2 1 10.91.0.28:10001"));
  const snapshot::Cluster cluster = named(got.clusters, db);
  EXPECT_EQ(cluster.tls->sni, "sni.msvc.default.zone2.db.tcp");
  EXPECT_THAT(peer_names_of(cluster), ElementsAre("spiffe://default.zone2.mesh.local/workload/db"));
  const auto& trust = named(got.secrets, "system_trust_bundle");
  EXPECT_EQ(std::get<snapshot::SpiffeBundles>(trust.value).pem_by_trust_domain.size(), 2u);
}

TEST(KumaCases, AnIngressPassesTlsOnByServerName) {
  const snapshot::Resources got = resources_of(own_case("remote-zone/zoneingress"));
  const snapshot::Listener& ingress = named(got.listeners, "self_zoneingress_dp_zi");
  EXPECT_TRUE(ingress.tls_inspector);
  std::map<std::string, std::string> cluster_of;
  for (const snapshot::FilterChain& chain : ingress.chains) {
    EXPECT_FALSE(chain.tls);
    ASSERT_EQ(chain.match.server_names.size(), 1u);
    cluster_of[chain.match.server_names[0]] = chain.clusters.at(0).name;
  }
  EXPECT_EQ(cluster_of.at("sni.msvc.default.zone1.web.tcp"), "kri_msvc_default_zone1__web_tcp");
  EXPECT_EQ(cluster_of.at("sni.mzsvc.default.webmz.tcp"), "kri_mzsvc_default___webmz_tcp");
}

TEST(KumaCases, AServiceOfTwoZonesFailsOver) {
  for (const auto& [folder, name] :
       {std::pair<std::string, std::string>{"client", "kri_mzsvc_default___webmz_tcp"},
        {"client-plain", "kri_mzsvc_default___webmz_9000"}}) {
    const snapshot::Resources got = resources_of(own_case("mmzs-failover/" + folder));
    const snapshot::LoadAssignment& endpoints = named(got.endpoints, name);
    EXPECT_THAT(localities_of(endpoints),
                ElementsAre("zone1 0 10.90.0.41:9000", "zone2 1 10.91.0.28:10001"));
    EXPECT_EQ(endpoints.overprovisioning_percent, 100u);
    const snapshot::Cluster& cluster = named(got.clusters, name);
    EXPECT_TRUE(cluster.lb.locality_weighted);
    EXPECT_EQ(cluster.tls->sni, "sni.mzsvc.default.webmz.tcp");
    EXPECT_THAT(peer_names_of(cluster),
                ElementsAre("spiffe://default.zone1.mesh.local/workload/web",
                            "spiffe://default.zone2.mesh.local/workload/web"));
  }
}

}  // namespace
}  // namespace mooring::discovery
