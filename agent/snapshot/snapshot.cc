#include "snapshot/snapshot.h"

#include <algorithm>

namespace mooring::snapshot {

namespace {

bool is_whole_address(const IpPrefix& prefix) noexcept {
  return prefix.length == (prefix.base.is_v4() ? 32 : 128);
}

bool has_all(const std::map<std::string, std::string>& metadata,
             const std::map<std::string, std::string>& wanted) noexcept {
  return std::all_of(wanted.begin(), wanted.end(), [&](const auto& pair) {
    const auto found = metadata.find(pair.first);
    return found != metadata.end() && found->second == pair.second;
  });
}

}  // namespace

const Transport& ClusterPart::transport_for(const LbEndpoint* endpoint) const noexcept {
  static const std::map<std::string, std::string> kNone;
  const auto& metadata = endpoint == nullptr ? kNone : endpoint->transport_socket_match;
  for (std::size_t i = 0; i < socket_matches.size(); ++i) {
    if (has_all(metadata, socket_matches[i].match)) return match_transports[i];
  }
  return transport;
}

bool ClusterPart::may_use_tls() const noexcept {
  return tls || std::any_of(socket_matches.begin(), socket_matches.end(), [](const auto& match) {
           return match.tls.has_value();
         });
}

EndpointsPart::EndpointsPart(LoadAssignment source, const ResolvedNames& names)
    : LoadAssignment(std::move(source)) {
  for (const LocalityEndpoints& locality : localities) {
    for (const LbEndpoint& endpoint : locality.endpoints) {
      if (endpoint.address) {
        list.push_back({*endpoint.address, &endpoint, &locality});
      } else if (const auto found = names.find(endpoint.host_name); found != names.end()) {
        for (const IpAddress& ip : found->second)
          list.push_back({{ip, endpoint.port}, &endpoint, &locality});
      }
    }
  }
}

ListenerIndex::ListenerIndex(const std::vector<ListenerPtr>& listeners) {
  for (std::size_t i = 0; i < listeners.size(); ++i) {
    const Listener& listener = *listeners[i];
    by_name_.emplace(listener.name, i);
    Destinations& known = listener.direction == Direction::outbound ? outbound_ : inbound_;
    for (const DestinationMatch& match : listener.match) {
      if (is_whole_address(match.prefix)) {
        known.by_address.emplace(SocketAddress{match.prefix.base, match.port}, i);
      } else {
        known.by_port[match.port].push_back({match.prefix, i});
      }
    }
  }
  for (Destinations* known : {&outbound_, &inbound_}) {
    for (auto& [port, candidates] : known->by_port) {
      // Of equal destinations the first listener counts, as in by_address.
      std::sort(candidates.begin(), candidates.end(), [](const Candidate& a, const Candidate& b) {
        return a.prefix.length != b.prefix.length ? a.prefix.length > b.prefix.length
                                                  : a.listener < b.listener;
      });
    }
  }
}

std::size_t ListenerIndex::find(Direction direction,
                                const SocketAddress& destination) const noexcept {
  const Destinations& known = direction == Direction::outbound ? outbound_ : inbound_;
  for (const std::uint16_t port : {destination.port, std::uint16_t{0}}) {
    const auto exact = known.by_address.find({destination.ip, port});
    if (exact != known.by_address.end()) return exact->second;
    const auto candidates = known.by_port.find(port);
    if (candidates == known.by_port.end()) continue;
    for (const Candidate& candidate : candidates->second) {
      if (candidate.prefix.contains(destination.ip)) return candidate.listener;
    }
  }
  return kNoMatch;
}

std::size_t ListenerIndex::find(const std::string& name) const noexcept {
  const auto found = by_name_.find(name);
  return found == by_name_.end() ? kNoMatch : found->second;
}

ClusterIndex::ClusterIndex(const std::vector<ClusterPtr>& clusters) {
  for (std::size_t i = 0; i < clusters.size(); ++i) {
    by_name_.emplace(clusters[i]->name, i);
    if (clusters[i]->type == Cluster::Type::eds)
      by_endpoints_.emplace(clusters[i]->endpoints_name, i);
  }
}

std::size_t ClusterIndex::find(const std::string& name) const noexcept {
  const auto found = by_name_.find(name);
  return found == by_name_.end() ? kNoMatch : found->second;
}

std::vector<std::size_t> ClusterIndex::find_by_endpoints(const std::string& name) const {
  std::vector<std::size_t> positions;
  const auto [begin, end] = by_endpoints_.equal_range(name);
  for (auto found = begin; found != end; ++found)
    positions.push_back(found->second);
  return positions;
}

std::size_t Snapshot::find_outbound(const SocketAddress& destination) const noexcept {
  const std::size_t found = listener_index->find(Direction::outbound, destination);
  return found == kNoMatch ? kOutboundOther : found;
}

std::size_t Snapshot::find_inbound(const SocketAddress& destination) const noexcept {
  const std::size_t found = listener_index->find(Direction::inbound, destination);
  return found == kNoMatch ? kInboundOther : found;
}

std::size_t Snapshot::find_listener(const std::string& name) const noexcept {
  return listener_index->find(name);
}

std::size_t Snapshot::find_cluster(const std::string& name) const noexcept {
  return cluster_index->find(name);
}

const EndpointsPart* Snapshot::find_endpoints(const std::string& cluster) const noexcept {
  const std::size_t at = find_cluster(cluster);
  return at == kNoMatch ? nullptr : endpoints[at].get();
}

const identity::Presented* Snapshot::own_identity() const noexcept {
  for (const SecretPtr& secret : secrets) {
    if (secret->presented && !secret->presented->spiffe_id.empty()) return secret->presented.get();
  }
  return nullptr;
}

const SecretPart* Snapshot::find_secret(std::string_view name) const noexcept {
  const auto found =
      std::lower_bound(secrets.begin(), secrets.end(), name, [](const auto& secret, auto wanted) {
        return secret->name < wanted;
      });
  return found != secrets.end() && (*found)->name == name ? found->get() : nullptr;
}

std::vector<std::size_t> changed_clusters(const Snapshot& now, const Snapshot* before) {
  std::vector<std::size_t> changed;
  if (before != nullptr && before->cluster_index == now.cluster_index) {
    const auto add = [&](std::size_t at) { changed.push_back(at); };
    now.clusters.for_each_difference(before->clusters, add);
    now.endpoints.for_each_difference(before->endpoints, add);
    std::sort(changed.begin(), changed.end());
    changed.erase(std::unique(changed.begin(), changed.end()), changed.end());
    return changed;
  }
  for (std::size_t at = 0; at < now.clusters.size(); ++at) {
    const std::size_t was =
        before == nullptr ? kNoMatch : before->find_cluster(now.clusters[at]->name);
    const bool is_same = was != kNoMatch && before->clusters[was] == now.clusters[at] &&
                         before->endpoints[was] == now.endpoints[at];
    if (!is_same) changed.push_back(at);
  }
  return changed;
}

}  // namespace mooring::snapshot
