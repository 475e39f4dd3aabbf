#include "proxy/upstream_health.h"

#include <algorithm>
#include <utility>

#include "core/log.h"
#include "proxy/source_address.h"
#include "proxy/tls_options.h"

namespace mooring::proxy {

namespace {

bool is_watched(const snapshot::Cluster& cluster) {
  return cluster.type != snapshot::Cluster::Type::original_dst &&
         (cluster.outlier_detection || !cluster.health_checks.empty());
}

}  // namespace

UpstreamHealth::UpstreamHealth(Loop& loop, Hooks hooks, std::uint64_t seed)
    : loop_(loop), hooks_(std::move(hooks)), random_(seed) {}

void UpstreamHealth::use(const snapshot::SnapshotPtr& snapshot) {
  const snapshot::SnapshotPtr before = std::exchange(snapshot_, snapshot);
  if (before == nullptr || before->cluster_index != snapshot->cluster_index) {
    std::vector<std::string> gone;
    for (const auto& [name, cluster] : clusters_) {
      if (snapshot->find_cluster(name) == snapshot::kNoMatch) gone.push_back(name);
    }
    for (const std::string& name : gone)
      forget(name);
  }
  for (const std::size_t at : snapshot::changed_clusters(*snapshot, before.get())) {
    const snapshot::ClusterPtr& part = snapshot->clusters[at];
    if (is_watched(*part)) {
      watch(part, snapshot->endpoints[at]);
    } else {
      forget(part->name);
    }
  }
  contexts_.keep(snapshot->tls_parts);
}

void UpstreamHealth::forget(const std::string& name) {
  if (clusters_.erase(name) > 0) hooks_.to_workers({name, nullptr});
}

void UpstreamHealth::watch(const snapshot::ClusterPtr& part,
                           const snapshot::EndpointsPtr& endpoints) {
  const auto known = clusters_.find(part->name);
  if (known != clusters_.end()) {
    Cluster& cluster = known->second;
    if (cluster.part->outlier_detection == part->outlier_detection &&
        cluster.part->health_checks == part->health_checks) {
      cluster.part = part;
      if (cluster.endpoints != endpoints) set_endpoints(cluster, endpoints);
      return;
    }
    clusters_.erase(known);
  }
  Cluster& cluster = clusters_[part->name];
  cluster.part = part;
  if (!part->health_checks.empty()) cluster.check = part->health_checks.front();
  if (const auto& detection = part->outlier_detection) {
    cluster.outliers.emplace(*detection, random_.next());
    cluster.interval = std::make_unique<Timer>(loop_, [this, &cluster] { on_interval(cluster); });
    const Milliseconds interval = std::max(detection->interval, Milliseconds(1));
    cluster.interval->start(interval, interval);
  }
  set_endpoints(cluster, endpoints);
}

void UpstreamHealth::set_endpoints(Cluster& cluster, const snapshot::EndpointsPtr& endpoints) {
  cluster.endpoints = endpoints;
  std::vector<SocketAddress> addresses;
  addresses.reserve(endpoints->list.size());
  for (const snapshot::Endpoint& endpoint : endpoints->list)
    addresses.push_back(endpoint.address);
  if (cluster.outliers) {
    cluster.outliers->set_hosts(addresses);
    std::map<SocketAddress, std::uint64_t> heard;
    for (const SocketAddress& address : addresses) {
      const auto known = cluster.heard.find(address);
      heard[address] = known == cluster.heard.end() ? hooks_.succeeded(cluster.part->name, address)
                                                    : known->second;
    }
    cluster.heard = std::move(heard);
  }
  if (cluster.check) check_endpoints(cluster, *cluster.check);
  tell(cluster);
}

void UpstreamHealth::check_endpoints(Cluster& cluster, const snapshot::HealthCheck& check) {
  std::map<SocketAddress, Checked> wanted;
  for (const snapshot::Endpoint& endpoint : cluster.endpoints->list) {
    if (auto kept = cluster.checked.extract(endpoint.address)) {
      wanted.insert(std::move(kept));
    } else {
      wanted.try_emplace(endpoint.address, check);
    }
  }
  cluster.checked = std::move(wanted);
  for (auto& [address, checked] : cluster.checked) {
    if (checked.probe) continue;
    checked.probe = std::make_unique<HealthProbe>(
        loop_, pool_, check, [this, &cluster, at = address](bool is_success) {
          on_checked(cluster, at, is_success);
        });
    checked.next = std::make_unique<Timer>(
        loop_, [this, &cluster, at = address] { begin_check(cluster, at); });
    checked.next->start(checked.state.first_wait(random_));
  }
}

void UpstreamHealth::begin_check(Cluster& cluster, const SocketAddress& address) {
  const auto& list = cluster.endpoints->list;
  const auto endpoint = std::find_if(
      list.begin(), list.end(), [&](const auto& known) { return known.address == address; });
  if (endpoint == list.end()) return;
  HealthProbe::Target target;
  target.address = address;
  target.cluster = cluster.part;
  target.source = source_for(*cluster.part, address, address);
  const snapshot::Transport& transport = cluster.part->transport_for(endpoint->spec);
  if (transport.tls != nullptr) {
    target.transport = &transport;
    target.context = contexts_.get(transport.part);
    if (target.context == nullptr) return on_checked(cluster, address, false);
    target.resume_key = resume_key(cluster.part->name, address, transport);
  }
  cluster.checked.at(address).probe->start(std::move(target));
}

void UpstreamHealth::on_checked(Cluster& cluster, const SocketAddress& address, bool is_success) {
  Checked& checked = cluster.checked.at(address);
  const bool had_traffic = hooks_.had_traffic(cluster.part->name);
  const auto outcome = is_success ? checked.state.succeeded(had_traffic, random_)
                                  : checked.state.failed(had_traffic, random_);
  checked.next->start(outcome.wait);
  const bool readmitted = is_success && checked.state.is_healthy() && cluster.outliers &&
                          cluster.outliers->readmit(address, loop_.now_ms());
  if (outcome.changed || readmitted) tell(cluster);
}

void UpstreamHealth::hear_successes(Cluster& cluster, const SocketAddress& address) {
  const std::uint64_t now = hooks_.succeeded(cluster.part->name, address);
  std::uint64_t& heard = cluster.heard[address];
  // Workers forget an endpoint that nobody used.
  if (cluster.outliers && now > heard) cluster.outliers->succeeded(address, now - heard);
  heard = now;
}

void UpstreamHealth::connect_failed(const ConnectFailed& failure) {
  const auto known = clusters_.find(failure.cluster);
  if (known == clusters_.end()) return;
  Cluster& cluster = known->second;
  if (!cluster.heard.contains(failure.endpoint)) return;
  hear_successes(cluster, failure.endpoint);
  if (!cluster.outliers || !cluster.outliers->failed(failure.endpoint, loop_.now_ms())) return;
  log::info(
      "endpoint ejected cluster={} endpoint={}", failure.cluster, failure.endpoint.to_string());
  tell(cluster);
}

void UpstreamHealth::on_interval(Cluster& cluster) {
  for (const auto& [address, heard] : cluster.heard)
    hear_successes(cluster, address);
  if (cluster.outliers && cluster.outliers->on_interval(loop_.now_ms())) tell(cluster);
}

void UpstreamHealth::tell(Cluster& cluster) {
  const bool is_pending =
      std::any_of(cluster.checked.begin(), cluster.checked.end(), [](const auto& entry) {
        return entry.second.state.is_pending();
      });
  cluster.is_warm = cluster.is_warm || !is_pending;
  auto health = std::make_shared<ClusterHealth>();
  for (const auto& [address, checked] : cluster.checked) {
    const bool is_excused = checked.state.is_pending() && !cluster.is_warm;
    if (!checked.state.is_healthy() && !is_excused) health->failed.push_back(address);
  }
  if (const auto& outliers = cluster.outliers) {
    for (const auto& [address, heard] : cluster.heard) {
      if (outliers->is_ejected(address)) health->ejected.push_back(address);
    }
    for (const std::uint64_t count : outliers->counts().enforced)
      health->ejections += count;
  }
  if (cluster.told && *cluster.told == *health) return;
  cluster.told = health;
  hooks_.to_workers({cluster.part->name, health});
}

UpstreamHealth::Seen UpstreamHealth::seen(const std::string& cluster,
                                          const SocketAddress& endpoint) const {
  const auto known = clusters_.find(cluster);
  if (known == clusters_.end() || !known->second.told) return {};
  const ClusterHealth& told = *known->second.told;
  return {std::binary_search(told.ejected.begin(), told.ejected.end(), endpoint),
          std::binary_search(told.failed.begin(), told.failed.end(), endpoint)};
}

}  // namespace mooring::proxy
