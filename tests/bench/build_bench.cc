// What an update of a control plane costs before workers see it, by the number of services.
#include <benchmark/benchmark.h>

#include <string>

#include "snapshot/build.h"

namespace mooring::snapshot {
namespace {

SocketAddress address_of(std::uint32_t number) {
  return {IpAddress::v4(0x0a000000 + number), 80};
}

Resources mesh_of(std::size_t services) {
  Resources resources;
  for (std::uint32_t i = 0; i < services; ++i) {
    const std::string name = "kri_msvc_default_zone__service-" + std::to_string(i) + "_http";
    Listener listener;
    listener.name = name;
    listener.match = {{{address_of(i).ip, 32}, 80}};
    listener.chains.resize(1);
    listener.chains[0].clusters = {{name, 1}};
    resources.listeners.push_back(std::move(listener));
    Cluster cluster;
    cluster.name = name;
    cluster.type = Cluster::Type::eds;
    cluster.endpoints_name = name;
    cluster.tls.emplace().sni = name;
    cluster.tls->peer_names.resize(1);
    cluster.tls->peer_names[0].matcher.text = "spiffe://default/" + name;
    resources.clusters.push_back(std::move(cluster));
    LoadAssignment assignment;
    assignment.name = name;
    assignment.localities.resize(1);
    assignment.localities[0].endpoints.resize(3);
    for (LbEndpoint& endpoint : assignment.localities[0].endpoints)
      endpoint.address = address_of(i);
    resources.endpoints.push_back(std::move(assignment));
  }
  return resources;
}

void first_build(benchmark::State& state) {
  const Resources resources = mesh_of(static_cast<std::size_t>(state.range(0)));
  for (auto _ : state)
    benchmark::DoNotOptimize(build(resources, nullptr));
}
BENCHMARK(first_build)->RangeMultiplier(10)->Range(10, 10'000)->Unit(benchmark::kMicrosecond);

/// One cluster is another one: everything is looked at.
void cluster_update(benchmark::State& state) {
  Resources resources = mesh_of(static_cast<std::size_t>(state.range(0)));
  SnapshotPtr snapshot = build(resources, nullptr).snapshot;
  for (auto _ : state) {
    ++resources.clusters[0].connect_timeout;
    snapshot = build(resources, snapshot.get()).snapshot;
  }
}
BENCHMARK(cluster_update)->RangeMultiplier(10)->Range(10, 10'000)->Unit(benchmark::kMicrosecond);

/// One endpoint of one service comes or goes.
void endpoint_update(benchmark::State& state) {
  Resources resources = mesh_of(static_cast<std::size_t>(state.range(0)));
  SnapshotPtr snapshot = build(resources, nullptr).snapshot;
  std::uint32_t number = 1;
  for (auto _ : state) {
    LoadAssignment& first = resources.endpoints[0];
    first.localities[0].endpoints[0].address = address_of(++number);
    snapshot = with_endpoints(*snapshot, {{first.name, &first}});
  }
}
BENCHMARK(endpoint_update)->RangeMultiplier(10)->Range(10, 10'000)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace mooring::snapshot

BENCHMARK_MAIN();
