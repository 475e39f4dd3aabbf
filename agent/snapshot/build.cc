#include "snapshot/build.h"

#include <algorithm>
#include <map>

namespace mooring::snapshot {

namespace {

template <class Part>
using PartMap = std::map<std::string, std::shared_ptr<const Part>>;

template <class Part>
PartMap<Part> parts_by_name(const std::vector<std::shared_ptr<const Part>>* parts) {
  PartMap<Part> map;
  if (parts != nullptr) {
    for (const auto& part : *parts)
      map.emplace(part->name, part);
  }
  return map;
}

// The part before, where nothing changed: workers compare addresses to see what a swap touches.
template <class Part>
std::shared_ptr<const Part> share(const Part& part, const PartMap<Part>& before) {
  const auto old = before.find(part.name);
  if (old != before.end() && *old->second == part) return old->second;
  return std::make_shared<const Part>(part);
}

const char* fault_of(const Cluster& cluster) {
  if (cluster.mtls && cluster.expected_peers.empty()) return "expected_peers";
  if (!cluster.original_dst && cluster.endpoints.empty() && cluster.local) return "endpoints";
  return nullptr;
}

Listener other_listener(Direction direction, config::OtherTraffic other) {
  Listener listener;
  listener.direction = direction;
  listener.name = direction == Direction::outbound ? "outbound_other" : "inbound_other";
  if (direction == Direction::outbound && other == config::OtherTraffic::pass)
    listener.cluster = "passthrough";
  return listener;
}

void index_listener(Snapshot& snapshot, std::size_t position) {
  const Listener& listener = *snapshot.listeners[position];
  snapshot.listener_by_name.emplace(listener.name, position);
  auto& index = listener.direction == Direction::outbound ? snapshot.outbound_by_port
                                                          : snapshot.inbound_by_port;
  for (const DestinationMatch& match : listener.match)
    index[match.port].push_back({match.prefix, position});
}

void sort_index(std::unordered_map<std::uint16_t, std::vector<Snapshot::Candidate>>& index) {
  for (auto& [port, candidates] : index) {
    // Overlapping destinations of one length are refused by validation; the position keeps the
    // order stable.
    std::sort(candidates.begin(), candidates.end(), [](const auto& a, const auto& b) {
      return a.prefix.length != b.prefix.length ? a.prefix.length > b.prefix.length
                                                : a.listener < b.listener;
    });
  }
}

}  // namespace

Built build(const Resources& resources, identity::MaterialPtr material, const Snapshot* previous) {
  Built built;
  auto snapshot = std::make_shared<Snapshot>();
  snapshot->generation = previous == nullptr ? 1 : previous->generation + 1;
  snapshot->material = std::move(material);
  snapshot->tls = resources.tls;
  snapshot->other = resources.other;

  const auto old_clusters =
      parts_by_name<Cluster>(previous == nullptr ? nullptr : &previous->clusters);
  const auto old_listeners =
      parts_by_name<Listener>(previous == nullptr ? nullptr : &previous->listeners);
  std::map<std::string, std::size_t> cluster_positions;
  const auto add_cluster = [&](ClusterPtr cluster) {
    cluster_positions.emplace(cluster->name, snapshot->clusters.size());
    snapshot->clusters.push_back(std::move(cluster));
  };
  Cluster passthrough;
  passthrough.name = "passthrough";
  passthrough.original_dst = true;
  passthrough.connect_attempts = 1;
  add_cluster(share(passthrough, old_clusters));
  for (const Cluster& cluster : resources.clusters) {
    if (const char* field = fault_of(cluster)) {
      built.rejected.push_back({cluster.name, field, "must not be empty"});
      if (const auto old = old_clusters.find(cluster.name); old != old_clusters.end())
        add_cluster(old->second);
      continue;
    }
    add_cluster(share(cluster, old_clusters));
  }

  snapshot->listeners.push_back(
      share(other_listener(Direction::outbound, resources.other), old_listeners));
  snapshot->listeners.push_back(
      share(other_listener(Direction::inbound, resources.other), old_listeners));
  for (const Listener& listener : resources.listeners)
    snapshot->listeners.push_back(share(listener, old_listeners));
  for (std::size_t i = 0; i < snapshot->listeners.size(); ++i) {
    const auto cluster = cluster_positions.find(snapshot->listeners[i]->cluster);
    snapshot->cluster_of_listener.push_back(cluster == cluster_positions.end() ? kNoMatch
                                                                               : cluster->second);
    index_listener(*snapshot, i);
  }
  sort_index(snapshot->outbound_by_port);
  sort_index(snapshot->inbound_by_port);
  built.snapshot = std::move(snapshot);
  return built;
}

}  // namespace mooring::snapshot
