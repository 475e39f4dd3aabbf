#include "proxy/upstream_state.h"

#include <gtest/gtest.h>

#include <atomic>
#include <set>
#include <thread>

#include "snapshot/build.h"

namespace mooring::proxy {
namespace {

SocketAddress at(const char* ip) {
  return {*parse_ip(ip), 5432};
}

const SocketAddress kOne = at("10.0.0.1");
const SocketAddress kTwo = at("10.0.0.2");
const SocketAddress kThree = at("10.0.0.3");

snapshot::Cluster db(const std::vector<SocketAddress>& addresses) {
  snapshot::Cluster cluster;
  cluster.name = "db";
  cluster.lb.panic_threshold_percent = 1;
  snapshot::LocalityEndpoints locality;
  for (const SocketAddress& address : addresses) {
    snapshot::LbEndpoint endpoint;
    endpoint.address = address;
    locality.endpoints.push_back(std::move(endpoint));
  }
  cluster.endpoints.localities = {std::move(locality)};
  return cluster;
}

/// A worker's state, and the snapshots that it goes through.
struct Worker {
  explicit Worker(const std::vector<SocketAddress>& addresses) { use(addresses); }

  void use(const std::vector<SocketAddress>& addresses) {
    snapshot::Resources resources;
    if (!addresses.empty()) resources.clusters = {db(addresses)};
    use(resources);
  }
  void use(const snapshot::Resources& resources) {
    const snapshot::SnapshotPtr next = snapshot::build(resources, snapshot.get()).snapshot;
    state.use(*next, snapshot.get(), snapshot::changed_clusters(*next, snapshot.get()));
    snapshot = next;
  }
  /// Nobody: an address without a port.
  SocketAddress choose(const std::vector<SocketAddress>& tried = {}) {
    const UpstreamState::Choice choice =
        state.choose(*snapshot, snapshot->find_cluster("db"), tried);
    was_panic = choice.is_panic;
    return choice.host == nullptr ? SocketAddress{} : choice.host->address;
  }
  std::set<SocketAddress> choose_often() {
    std::set<SocketAddress> chosen;
    for (int i = 0; i < 20; ++i)
      chosen.insert(choose());
    return chosen;
  }
  void hear(std::vector<SocketAddress> ejected, std::vector<SocketAddress> failed = {}) {
    const ClusterHealth health{std::move(ejected), std::move(failed), 0};
    state.use(UseHealth{"db", std::make_shared<const ClusterHealth>(health)});
  }
  UpstreamState::Membership membership() const {
    return state.membership(*snapshot, snapshot->find_cluster("db"));
  }

  UpstreamState state{1};
  snapshot::SnapshotPtr snapshot;
  bool was_panic = false;
};

TEST(UpstreamState, TakesTurnsAndARetryGoesElsewhere) {
  Worker worker({kOne, kTwo});
  const SocketAddress first = worker.choose();
  const SocketAddress second = worker.choose();
  EXPECT_NE(first, second);
  EXPECT_EQ(worker.choose(), first);
  EXPECT_EQ(worker.choose({kOne}), kTwo);
  EXPECT_EQ(worker.choose({kTwo}), kOne);
  EXPECT_EQ(worker.choose({kOne, kTwo}), SocketAddress{});
}

TEST(UpstreamState, LeavesOutWhomTheControlThreadNames) {
  Worker worker({kOne, kTwo, kThree});
  EXPECT_EQ(worker.choose_often().size(), 3U);
  worker.hear({kOne}, {kThree});
  EXPECT_EQ(worker.choose_often(), std::set{kTwo});
  EXPECT_EQ(worker.membership().total, 3U);
  EXPECT_EQ(worker.membership().healthy, 1U);
  worker.state.use(UseHealth{"db", nullptr});
  EXPECT_EQ(worker.choose_often().size(), 3U);
  EXPECT_EQ(worker.membership().healthy, 3U);
}

TEST(UpstreamState, HealthThatCameBeforeTheEndpointsCounts) {
  Worker worker({});
  worker.hear({kTwo});
  worker.use({kOne, kTwo});
  EXPECT_EQ(worker.choose_often(), std::set{kOne});
}

TEST(UpstreamState, HealthOutlivesSnapshots) {
  Worker worker({kOne, kTwo});
  worker.hear({kTwo});
  worker.use({kOne, kTwo, kThree});
  EXPECT_EQ(worker.choose_often(), (std::set{kOne, kThree}));
}

TEST(UpstreamState, TakesTheEjectedWhenNobodyElseIsLeft) {
  Worker worker({kOne, kTwo});
  worker.hear({kOne, kTwo});
  EXPECT_EQ(worker.choose_often().size(), 2U);
  EXPECT_TRUE(worker.was_panic);
}

TEST(UpstreamState, TheRoundGoesOnWhenEndpointsChange) {
  Worker worker({kOne, kTwo, kThree});
  std::map<SocketAddress, int> counts;
  for (int i = 0; i < 300; ++i) {
    worker.use({i % 2 == 0 ? kOne : kThree, kTwo});
    ++counts[worker.choose()];
  }
  EXPECT_NEAR(counts[kTwo], 150, 1);
}

TEST(UpstreamState, FewestConnectionsAreThoseOfThisWorker) {
  snapshot::Resources resources;
  resources.clusters = {db({kOne, kTwo, kThree})};
  resources.clusters[0].lb.policy = snapshot::LbPolicy::least_request;
  resources.clusters[0].lb.choice_count = 5000;  // all
  Worker worker({});
  worker.use(resources);
  worker.state.opened("db", kOne);
  worker.state.opened("db", kThree);
  EXPECT_EQ(worker.choose(), kTwo);
  worker.state.opened("db", kTwo);
  worker.state.opened("db", kTwo);
  worker.state.closed("db", kThree);
  EXPECT_EQ(worker.choose(), kThree);
}

TEST(UpstreamState, CountsConnectionsAndSuccesses) {
  UpstreamState state(1);
  state.opened("db", kOne);
  state.opened("db", kOne);
  state.opened("db", kTwo);
  state.closed("db", kOne);
  state.succeeded("db", kOne);
  EXPECT_EQ(state.look("db", kOne).connections, 1U);
  EXPECT_EQ(state.look("db", kOne).succeeded, 1U);
  EXPECT_EQ(state.look("db", kTwo).connections, 1U);
  EXPECT_EQ(state.look("other", kOne).connections, 0U);
}

TEST(UpstreamState, ForgetsWhatTheSnapshotLacksOnceNobodyUsesIt) {
  Worker worker({kOne, kTwo});
  worker.state.opened("db", kOne);
  worker.state.opened("db", kTwo);
  worker.state.succeeded("db", kOne);
  worker.state.succeeded("db", kTwo);
  worker.state.closed("db", kOne);
  worker.use({kThree});
  EXPECT_EQ(worker.state.look("db", kOne).succeeded, 0U);
  EXPECT_EQ(worker.state.look("db", kTwo).succeeded, 1U);
  worker.state.closed("db", kTwo);
  worker.use(snapshot::Resources{});
  EXPECT_EQ(worker.state.look("db", kTwo).succeeded, 0U);
}

TEST(UpstreamState, OthersMayLookWhileItChanges) {
  UpstreamState state(1);
  std::atomic<bool> done{false};
  std::thread reader([&] {
    while (!done)
      (void)state.look("db", kOne);
  });
  for (std::uint32_t i = 0; i < 2000; ++i) {
    state.opened("db", {IpAddress::v4(i), 1});
    state.opened("db", kOne);
    state.closed("db", kOne);
  }
  done = true;
  reader.join();
  EXPECT_EQ(state.look("db", kOne).connections, 0U);
}

}  // namespace
}  // namespace mooring::proxy
