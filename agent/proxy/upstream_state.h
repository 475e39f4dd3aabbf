// What must outlive snapshots about endpoints: round-robin position, open connections, ejection.
// One per worker.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "core/address.h"
#include "policy/choose.h"
#include "snapshot/snapshot.h"

namespace mooring::proxy {

class UpstreamState {
 public:
  /// First ejection after a connect failure; each further one in a row doubles it, up to a minute.
  static constexpr std::uint64_t kFirstEjectionMs = 2000;
  static constexpr std::uint64_t kLongestEjectionMs = 60000;

  explicit UpstreamState(
      std::function<void(const std::string&, const SocketAddress&, bool)> on_change)
      : on_change_(std::move(on_change)) {}

  /// Picks an endpoint that is not in `tried`. False: there is none.
  [[nodiscard]] bool choose(const snapshot::Cluster& cluster,
                            const std::vector<SocketAddress>& tried,
                            std::uint64_t now_ms,
                            policy::Choice& out);
  void opened(const std::string& cluster, const SocketAddress& endpoint) {
    ++state(cluster, endpoint).active;
  }
  void closed(const std::string& cluster, const SocketAddress& endpoint);
  /// Ejects an endpoint that could not be connected; a cluster of one endpoint keeps it.
  void failed(const snapshot::Cluster& cluster,
              const SocketAddress& endpoint,
              std::uint64_t now_ms);
  void succeeded(const std::string& cluster, const SocketAddress& endpoint);
  [[nodiscard]] std::size_t ejected(const snapshot::Cluster& cluster, std::uint64_t now_ms) const;
  /// Forgets clusters and endpoints that the snapshot does not have and nobody uses.
  void prune(const snapshot::Snapshot& snapshot);

 private:
  struct Endpoint {
    std::uint64_t active = 0;
    std::uint64_t ejected_until_ms = 0;
    unsigned failures_in_a_row = 0;
  };
  struct ClusterState {
    std::uint64_t position = 0;
    std::map<SocketAddress, Endpoint> endpoints;
  };
  Endpoint& state(const std::string& cluster, const SocketAddress& endpoint) {
    return clusters_[cluster].endpoints[endpoint];
  }

  std::map<std::string, ClusterState> clusters_;
  std::function<void(const std::string&, const SocketAddress&, bool)> on_change_;
};

}  // namespace mooring::proxy
