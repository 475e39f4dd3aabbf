// What the store says of itself.
#include <algorithm>

#include "discovery/store.h"

namespace mooring::discovery {

bool Store::is_served_whole(ResourceKind kind, const std::string& name) const {
  if (!entries(kind).contains(name)) return false;
  if (kind == ResourceKind::cluster) {
    const snapshot::Cluster* cluster = clusters_.find(name);
    return cluster != nullptr && has_all(needs_of(*cluster));
  }
  const snapshot::Listener* listener = listeners_.find(name);
  return listener != nullptr && has_all(needs_of(*listener));
}

void Store::for_each_needy(
    const std::function<void(const Key&, const std::vector<Need>&)>& look) const {
  for (const snapshot::Cluster& cluster : resources_.clusters)
    look({ResourceKind::cluster, cluster.name}, needs_of(cluster));
  for (const snapshot::Listener& listener : resources_.listeners)
    look({ResourceKind::listener, listener.name}, needs_of(listener));
  for (const auto& [name, listener] : system_listeners_)
    look({ResourceKind::listener, name}, needs_of(listener));
  for (const auto& [key, pending] : pending_)
    look(key, needs_of(pending.decoded));
}

bool Store::clusters_are_warm() const {
  for (const snapshot::Cluster& cluster : resources_.clusters)
    if (!has_all(needs_of(cluster))) return false;
  return true;
}

std::vector<Missing> Store::missing() const {
  std::vector<Missing> missing;
  for_each_needy([&](const Key& key, const std::vector<Need>& needs) {
    for (const Need& need : needs) {
      const Missing found{key.first, key.second, need};
      const bool is_known = std::find(missing.begin(), missing.end(), found) != missing.end();
      if (missing.size() < kMaxMissing && !serves(need.kind, need.name) && !is_known)
        missing.push_back(found);
    }
  });
  return missing;
}

std::vector<RejectedResource> Store::rejected() const {
  std::vector<RejectedResource> rejected;
  rejected.reserve(rejected_.size());
  for (const auto& [key, each] : rejected_)
    rejected.push_back(each);
  return rejected;
}

std::vector<std::pair<Need, Note>> Store::warnings() const {
  std::vector<std::pair<Need, Note>> warnings;
  for (const ResourceKind kind : kResourceKinds) {
    for (const auto& [name, entry] : entries(kind)) {
      for (const Note& note : entry.warnings)
        warnings.push_back({{kind, name}, note});
    }
  }
  return warnings;
}

DeltaSession::Versions Store::versions(ResourceKind kind) const {
  DeltaSession::Versions versions;
  for (const auto& [name, entry] : entries(kind))
    if (!entry.version.empty()) versions.emplace(name, entry.version);
  return versions;
}

std::vector<StoredResource> Store::accepted() const {
  std::vector<StoredResource> stored;
  for (const ResourceKind kind : kResourceKinds) {
    for (const auto& [name, entry] : entries(kind)) {
      if (kind == ResourceKind::secret && parse_sds_name(name)) continue;
      stored.push_back({kind, name, entry.version, entry.bytes});
    }
  }
  return stored;
}

}  // namespace mooring::discovery
