#include "discovery/store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

namespace mooring::discovery {
namespace {

using Kind = ResourceKind;
using testing::ElementsAre;
using testing::IsEmpty;
using Names = std::set<std::string>;

snapshot::TlsContext tls_of(std::string certificate) {
  snapshot::TlsContext tls;
  tls.certificate = std::move(certificate);
  return tls;
}
snapshot::FilterChain chain_to(const std::string& cluster) {
  snapshot::FilterChain chain;
  chain.clusters.push_back({cluster, 1});
  return chain;
}
snapshot::FilterChain chain_with(std::string certificate) {
  snapshot::FilterChain chain;
  chain.tls = tls_of(std::move(certificate));
  return chain;
}
snapshot::Secret secret_of(std::string name, std::string pem) {
  snapshot::Secret secret;
  secret.name = std::move(name);
  secret.value = snapshot::TrustedCa{std::move(pem)};
  return secret;
}

/// Resources as words: "eds secret=s", "cluster=c secret=s", "pipe", "system"; "v1" makes one
/// differ from another, "bad" cannot be decoded.
struct Words {
  explicit Words(std::string_view name, std::string_view bytes) {
    cluster.name = listener.name = endpoints.name = name;
    std::istringstream words{std::string(bytes)};
    std::string word;
    while (words >> word)
      take(word);
  }
  void take(const std::string& word) {
    const std::string value = word.substr(word.find('=') + 1);
    if (word == "bad") is_bad = true;
    if (word == "warn") warnings.push_back({"field", "not all of it"});
    if (word == "pipe" || word == "system") is_other = true;
    if (word == "eds") {
      cluster.type = snapshot::Cluster::Type::eds;
      cluster.endpoints_name = cluster.name;
    }
    if (word.starts_with("endpoints=")) cluster.endpoints_name = value;
    if (word.starts_with("secret=")) {
      cluster.tls = tls_of(value);
      listener.chains.push_back(chain_with(value));
    }
    if (word.starts_with("inline=")) {
      secrets.push_back(secret_of(value, ""));
      listener.chains.push_back(chain_with(value));
    }
    if (word.starts_with("cluster=")) listener.chains.push_back(chain_to(value));
    if (word.starts_with("v")) version = word;
  }

  snapshot::Cluster cluster;
  snapshot::Listener listener;
  snapshot::LoadAssignment endpoints;
  std::vector<snapshot::Secret> secrets;
  std::vector<Note> warnings;
  std::string version;
  bool is_bad = false;
  bool is_other = false;
};

DecodeResult decode_words(Kind kind, std::string_view name, std::string_view bytes) {
  Words words(name, bytes);
  if (words.is_bad)
    return tl::unexpected(Rejected{std::string(name), "some.field", "is not understood"});
  Decoded out;
  out.secrets = words.secrets;
  out.warnings = words.warnings;
  switch (kind) {
    case Kind::cluster:
      words.cluster.connect_timeout = Milliseconds(words.version.size());
      out.resource = words.cluster;
      if (words.is_other) out.resource = PipeCluster{std::string(name), words.version};
      break;
    case Kind::endpoints:
      words.endpoints.localities.emplace_back().region = words.version;
      out.resource = words.endpoints;
      break;
    case Kind::secret:
      out.resource = secret_of(std::string(name), words.version);
      break;
    case Kind::listener:
      words.listener.server_first = words.version == "v2";
      out.resource = words.listener;
      if (words.is_other) {
        SystemListener listener;
        listener.name = name;
        listener.path = words.version;
        out.resource = listener;
      }
      break;
  }
  return out;
}

class StoreTest : public testing::Test {
 protected:
  struct Sent {
    std::string name;
    std::string words;
    std::string version = "1";
  };
  std::vector<RejectedResource> send(Kind kind, std::vector<Sent> sent, Names removed = {}) {
    DeltaResponse response{.type_url = std::string(type_url(kind))};
    for (Sent& each : sent)
      response.resources.push_back({each.name, each.version, response.type_url, each.words});
    response.removed.assign(removed.begin(), removed.end());
    return store.apply(kind, std::move(response), now);
  }
  template <class T>
  static Names names(const std::vector<T>& items) {
    Names names;
    for (const T& item : items)
      names.insert(item.name);
    return names;
  }
  const snapshot::Listener& listener(const std::string& name) const {
    const auto& all = store.resources().listeners;
    return *std::find_if(all.begin(), all.end(), [&](const auto& it) { return it.name == name; });
  }

  std::uint64_t now = 1000;
  std::vector<std::string> refused;
  Store store{
      {.decode = decode_words,
       .refuse = [this](std::string_view, std::string reason) -> std::optional<snapshot::Listener> {
         refused.push_back(reason);
         snapshot::Listener listener;
         listener.chains.emplace_back().not_served = std::move(reason);
         return listener;
       }}};
};

TEST_F(StoreTest, FollowsTheNamesThatClustersAndListenersHave) {
  EXPECT_THAT(send(Kind::cluster, {{"c", "eds secret=id"}, {"d", ""}, {"e", "eds endpoints=x"}}),
              IsEmpty());
  EXPECT_THAT(store.wanted(Kind::endpoints), ElementsAre("c", "x"));
  EXPECT_THAT(store.wanted(Kind::secret), ElementsAre("id"));
  EXPECT_THAT(send(Kind::listener, {{"l", "cluster=c secret=id secret=trust"}}), IsEmpty());
  EXPECT_THAT(store.wanted(Kind::secret), ElementsAre("id", "trust"));
  const std::uint64_t revision = store.names_revision();
  EXPECT_THAT(send(Kind::cluster, {}, {"c"}), IsEmpty());
  EXPECT_NE(store.names_revision(), revision);
  EXPECT_THAT(store.wanted(Kind::endpoints), ElementsAre("x"));
  EXPECT_THAT(store.wanted(Kind::secret), ElementsAre("id", "trust"));
}

TEST_F(StoreTest, PassesOverWhatNobodyWants) {
  EXPECT_THAT(send(Kind::endpoints, {{"c", "bad"}}), IsEmpty());
  EXPECT_THAT(send(Kind::secret, {{"s", ""}}), IsEmpty());
  EXPECT_THAT(store.resources(), snapshot::Resources{});
  EXPECT_TRUE(store.take_changes().empty());
}

TEST_F(StoreTest, WarmMeansThatEndpointsAndSecretsAreThere) {
  EXPECT_TRUE(store.clusters_are_warm());
  static_cast<void>(send(Kind::cluster, {{"c", "eds secret=id"}, {"d", ""}}));
  EXPECT_FALSE(store.clusters_are_warm());
  static_cast<void>(send(Kind::endpoints, {{"c", ""}}));
  EXPECT_FALSE(store.clusters_are_warm());
  EXPECT_THAT(store.missing(), ElementsAre(Missing{Kind::cluster, "c", {Kind::secret, "id"}}));
  static_cast<void>(send(Kind::secret, {{"id", ""}}));
  EXPECT_TRUE(store.clusters_are_warm());
  EXPECT_THAT(store.missing(), IsEmpty());
}

TEST_F(StoreTest, SecretsThatAResourceBringsAreNotWaitedFor) {
  static_cast<void>(send(Kind::listener, {{"l", "inline=inline:l/cert"}}));
  EXPECT_THAT(store.wanted(Kind::secret), IsEmpty());
  EXPECT_THAT(store.missing(), IsEmpty());
}

TEST_F(StoreTest, ASecretOfAnotherServerIsWaitedForAndNotKept) {
  static_cast<void>(send(Kind::cluster, {{"c", "secret=sds:agent/spiffe://mesh/id"}}));
  const std::string name = "sds:agent/spiffe://mesh/id";
  EXPECT_THAT(store.wanted(Kind::secret), ElementsAre(name));
  EXPECT_FALSE(store.clusters_are_warm());
  EXPECT_THAT(send(Kind::secret, {{name, ""}}), IsEmpty());
  EXPECT_THAT(names(store.resources().secrets), ElementsAre(name));
  EXPECT_TRUE(store.clusters_are_warm());
  for (const StoredResource& each : store.accepted())
    EXPECT_NE(each.kind, Kind::secret);
}

TEST_F(StoreTest, AListenerThatIsNewRefusesRatherThanBeingAbsent) {
  static_cast<void>(send(Kind::listener, {{"l", "secret=id"}}));
  EXPECT_THAT(names(store.resources().listeners), ElementsAre("l"));
  EXPECT_FALSE(store.is_waiting());
  EXPECT_EQ(store.missing().size(), 1U);
}

TEST_F(StoreTest, AChangedListenerWaitsForWhatItNames) {
  static_cast<void>(send(Kind::cluster, {{"c", ""}}));
  static_cast<void>(send(Kind::listener, {{"l", "cluster=c v1"}}));
  static_cast<void>(send(Kind::listener, {{"l", "cluster=c cluster=new secret=id v2", "2"}}));
  EXPECT_FALSE(listener("l").server_first);
  EXPECT_TRUE(store.is_waiting());
  EXPECT_THAT(store.wanted(Kind::secret), ElementsAre("id"));
  EXPECT_EQ(store.versions(Kind::listener).at("l"), "2");  // accepted all the same
  static_cast<void>(send(Kind::cluster, {{"new", ""}}));
  EXPECT_FALSE(listener("l").server_first);
  static_cast<void>(store.take_changes());
  static_cast<void>(send(Kind::secret, {{"id", ""}}));
  EXPECT_TRUE(listener("l").server_first);
  EXPECT_FALSE(store.is_waiting());
  const Changes changes = store.take_changes();
  EXPECT_THAT(changes.of(Kind::listener), ElementsAre("l"));
  EXPECT_THAT(changes.of(Kind::secret), ElementsAre("id"));
}

TEST_F(StoreTest, NothingWaitsForEver) {
  static_cast<void>(send(Kind::listener, {{"l", "v1"}}));
  static_cast<void>(send(Kind::listener, {{"l", "cluster=never v2"}}));
  now += 4999;
  store.tick(now);
  EXPECT_FALSE(listener("l").server_first);
  store.tick(now + 1);
  EXPECT_TRUE(listener("l").server_first);
  EXPECT_FALSE(store.is_waiting());
  EXPECT_THAT(store.missing(), ElementsAre(Missing{Kind::listener, "l", {Kind::cluster, "never"}}));
}

TEST_F(StoreTest, AChangedClusterGoesOnWithWhatItHad) {
  static_cast<void>(send(Kind::cluster, {{"c", "eds v1"}}));
  static_cast<void>(send(Kind::endpoints, {{"c", ""}}));
  static_cast<void>(send(Kind::cluster, {{"c", "eds endpoints=other v22"}}));
  EXPECT_EQ(store.resources().clusters[0].connect_timeout, Milliseconds(2));
  EXPECT_THAT(store.wanted(Kind::endpoints),
              ElementsAre("c", "other"));  // both, as long as it waits
  static_cast<void>(send(Kind::endpoints, {{"other", ""}}));
  EXPECT_EQ(store.resources().clusters[0].connect_timeout, Milliseconds(3));
  EXPECT_THAT(store.wanted(Kind::endpoints), ElementsAre("other"));
  EXPECT_THAT(names(store.resources().endpoints), ElementsAre("other"));
}

TEST_F(StoreTest, AnotherVersionTakesThePlaceOfOneThatWaits) {
  static_cast<void>(send(Kind::listener, {{"l", "v1"}}));
  static_cast<void>(send(Kind::listener, {{"l", "cluster=never v2"}}));
  static_cast<void>(send(Kind::listener, {{"l", "v1", "3"}}));
  EXPECT_FALSE(store.is_waiting());
  static_cast<void>(send(Kind::listener, {{"l", "cluster=never v2"}}));
  static_cast<void>(send(Kind::listener, {}, {"l"}));
  EXPECT_FALSE(store.is_waiting());
  EXPECT_THAT(store.resources().listeners, IsEmpty());
}

TEST_F(StoreTest, KeepsTheLastGoodVersionAndNamesTheOther) {
  static_cast<void>(send(Kind::listener, {{"good", "v1"}, {"l", "v2", "1"}}));
  const auto rejected = send(Kind::listener, {{"l", "bad", "2"}, {"more", "", "1"}});
  const RejectedResource expected{Kind::listener, "l", "some.field", "is not understood", "2"};
  EXPECT_THAT(rejected, ElementsAre(expected));
  EXPECT_THAT(store.rejected(), ElementsAre(expected));
  EXPECT_TRUE(listener("l").server_first);
  EXPECT_THAT(names(store.resources().listeners), ElementsAre("good", "l", "more"));
  EXPECT_EQ(store.versions(Kind::listener).at("l"), "1");
  EXPECT_THAT(refused, IsEmpty());
  static_cast<void>(send(Kind::listener, {{"l", "", "3"}}));
  EXPECT_THAT(store.rejected(), IsEmpty());
}

TEST_F(StoreTest, AListenerThatNeverWasGoodIsRefused) {
  static_cast<void>(send(Kind::listener, {{"l", "bad"}}));
  EXPECT_THAT(refused, ElementsAre("is not understood"));
  EXPECT_EQ(listener("l").chains[0].not_served, "is not understood");
  EXPECT_THAT(store.take_changes().of(Kind::listener), ElementsAre("l"));
  EXPECT_THAT(store.versions(Kind::listener), IsEmpty());
  EXPECT_THAT(store.accepted(), IsEmpty());
  static_cast<void>(send(Kind::listener, {{"l", "v2"}}));
  EXPECT_TRUE(listener("l").server_first);
  static_cast<void>(send(Kind::listener, {{"x", "bad"}}));
  static_cast<void>(send(Kind::listener, {}, {"x"}));
  EXPECT_THAT(store.rejected(), IsEmpty());
  EXPECT_THAT(names(store.resources().listeners), ElementsAre("l"));
}

TEST_F(StoreTest, RefusesResourcesThatContradictTheirResponse) {
  DeltaResponse response{.type_url = std::string(type_url(Kind::cluster))};
  response.resources = {{"ok", "1", response.type_url, ""},
                        {"other", "1", std::string(type_url(Kind::listener)), ""},
                        {"", "1", response.type_url, ""},
                        {"a\nb", "1", response.type_url, ""}};
  EXPECT_EQ(store.apply(Kind::cluster, std::move(response), now).size(), 3U);
  EXPECT_THAT(names(store.resources().clusters), ElementsAre("ok"));
  EXPECT_EQ(store.rejected().size(), 1U);  // one that has a name
}

TEST_F(StoreTest, RemovedMeansGoneOnceNothingNamesIt) {
  static_cast<void>(send(Kind::cluster, {{"c", "eds secret=id"}}));
  static_cast<void>(send(Kind::endpoints, {{"c", "v1", "7"}}));
  static_cast<void>(send(Kind::secret, {{"id", "v1", "8"}}));
  static_cast<void>(send(Kind::endpoints, {}, {"c", "unheard-of"}));
  static_cast<void>(send(Kind::secret, {}, {"id"}));
  EXPECT_TRUE(store.clusters_are_warm());
  EXPECT_THAT(store.versions(Kind::endpoints), IsEmpty());
  EXPECT_THAT(store.versions(Kind::secret), IsEmpty());
  static_cast<void>(send(Kind::cluster, {}, {"c"}));
  EXPECT_THAT(store.resources(), snapshot::Resources{});
  EXPECT_THAT(store.accepted(), IsEmpty());
}

TEST_F(StoreTest, AResourceMayBecomeAnotherSort) {
  static_cast<void>(send(Kind::cluster, {{"c", ""}}));
  static_cast<void>(send(Kind::listener, {{"l", ""}}));
  static_cast<void>(store.take_changes());
  static_cast<void>(send(Kind::cluster, {{"c", "pipe v1"}}));
  static_cast<void>(send(Kind::listener, {{"l", "system v1"}}));
  EXPECT_THAT(store.resources(), snapshot::Resources{});
  EXPECT_EQ(store.pipe_clusters().at("c").path, "v1");
  EXPECT_EQ(store.system_listeners().at("l").path, "v1");
  Changes changes = store.take_changes();
  EXPECT_THAT(changes.of(Kind::cluster), ElementsAre("c"));
  EXPECT_THAT(changes.of(Kind::listener), ElementsAre("l"));
  static_cast<void>(send(Kind::listener, {{"l", "system v1", "2"}}));
  EXPECT_TRUE(store.take_changes().empty());
  static_cast<void>(send(Kind::cluster, {{"c", ""}}));
  static_cast<void>(send(Kind::listener, {{"l", ""}}));
  EXPECT_THAT(store.pipe_clusters(), IsEmpty());
  EXPECT_THAT(store.system_listeners(), IsEmpty());
  EXPECT_EQ(store.resources().listeners.size(), 1U);
  static_cast<void>(send(Kind::cluster, {{"c", "pipe"}}, {}));
  static_cast<void>(send(Kind::cluster, {}, {"c"}));
  EXPECT_THAT(store.pipe_clusters(), IsEmpty());
}

TEST_F(StoreTest, SecretsOfAResourceComeAndGoWithIt) {
  static_cast<void>(send(Kind::listener, {{"l", "inline=inline:a inline=inline:b"}}));
  EXPECT_THAT(names(store.resources().secrets), ElementsAre("inline:a", "inline:b"));
  static_cast<void>(send(Kind::listener, {{"l", "inline=inline:b inline=inline:c"}}));
  EXPECT_THAT(names(store.resources().secrets), ElementsAre("inline:b", "inline:c"));
  static_cast<void>(send(Kind::listener, {}, {"l"}));
  EXPECT_THAT(store.resources().secrets, IsEmpty());
}

TEST_F(StoreTest, OneEndpointListCostsOne) {
  std::vector<Sent> clusters;
  std::vector<Sent> lists;
  for (int i = 0; i < 1000; ++i) {
    clusters.push_back({"c" + std::to_string(i), "eds"});
    lists.push_back({"c" + std::to_string(i), "v1"});
  }
  static_cast<void>(send(Kind::cluster, clusters));
  static_cast<void>(send(Kind::endpoints, lists));
  static_cast<void>(store.take_changes());
  const auto* first = store.resources().clusters.data();
  const auto* list = store.resources().endpoints.data();
  const std::uint64_t names = store.names_revision();
  static_cast<void>(send(Kind::endpoints, {{"c500", "v2"}}));
  const Changes changes = store.take_changes();
  EXPECT_THAT(changes.of(Kind::endpoints), ElementsAre("c500"));
  EXPECT_THAT(changes.of(Kind::cluster), IsEmpty());
  EXPECT_EQ(store.resources().clusters.data(), first);  // in their place
  EXPECT_EQ(store.resources().endpoints.data(), list);
  EXPECT_EQ(store.names_revision(), names);
  static_cast<void>(send(Kind::endpoints, {{"c500", "v2"}}));
  EXPECT_TRUE(store.take_changes().empty());
}

TEST_F(StoreTest, WhatWasStoredIsServedAgain) {
  static_cast<void>(send(Kind::cluster, {{"c", "eds secret=id"}}));
  static_cast<void>(send(Kind::endpoints, {{"c", "v1", "7"}}));
  static_cast<void>(send(Kind::secret, {{"id", "v1", "8"}}));
  static_cast<void>(send(Kind::listener, {{"l", "cluster=c"}, {"s", "system v1"}}));
  std::vector<StoredResource> stored = store.accepted();
  std::reverse(stored.begin(), stored.end());
  Store again({.decode = decode_words, .refuse = {}});
  EXPECT_THAT(again.load(stored), IsEmpty());
  EXPECT_EQ(again.resources(), store.resources());
  EXPECT_EQ(again.system_listeners(), store.system_listeners());
  for (const Kind kind : kResourceKinds)
    EXPECT_EQ(again.versions(kind), store.versions(kind));
  EXPECT_EQ(again.accepted(), store.accepted());
}

TEST_F(StoreTest, WhatIsStoredAndNotUnderstoodAnyMoreIsNamed) {
  const auto rejected =
      store.load({{Kind::listener, "l", "1", "bad"}, {Kind::cluster, "c", "1", ""}});
  EXPECT_EQ(rejected.size(), 1U);
  EXPECT_EQ(names(store.resources().clusters), Names{"c"});
  EXPECT_THAT(store.versions(Kind::listener), IsEmpty());
}

TEST_F(StoreTest, KeepsTheWarnings) {
  static_cast<void>(send(Kind::cluster, {{"c", "warn"}, {"d", ""}}));
  const auto warnings = store.warnings();
  ASSERT_EQ(warnings.size(), 1U);
  EXPECT_EQ(warnings[0].first, (Need{Kind::cluster, "c"}));
  EXPECT_EQ(warnings[0].second.text, "not all of it");
}

}  // namespace
}  // namespace mooring::discovery
