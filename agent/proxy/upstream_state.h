// What must outlive snapshots about endpoints: round-robin position, open connections, ejection.
// One per worker, which alone changes it.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "core/address.h"
#include "observe/stats.h"
#include "policy/choose.h"
#include "proxy/worker.h"
#include "snapshot/snapshot.h"

namespace mooring::proxy {

class UpstreamState {
 public:
  /// First ejection after a connect failure; each further one in a row doubles it, up to a minute.
  static constexpr std::uint64_t kFirstEjectionMs = 2000;
  static constexpr std::uint64_t kLongestEjectionMs = 60000;

  /// Picks an endpoint that is not in `tried`. False: there is none.
  [[nodiscard]] bool choose(const snapshot::Cluster& cluster,
                            const snapshot::EndpointsPart& endpoints,
                            const std::vector<SocketAddress>& tried,
                            std::uint64_t now_ms,
                            policy::Choice& out);
  void opened(const std::string& cluster, const SocketAddress& endpoint) {
    state(cluster, endpoint).active.add();
  }
  void closed(const std::string& cluster, const SocketAddress& endpoint);
  /// Ejects an endpoint that could not be connected; a cluster of one endpoint keeps it.
  void failed(const std::string& cluster,
              std::size_t endpoints,
              const SocketAddress& endpoint,
              std::uint64_t now_ms);
  /// True if it was ejected, or had been since it was last connected.
  bool succeeded(const std::string& cluster, const SocketAddress& endpoint);
  [[nodiscard]] std::size_t ejected(const std::string& cluster,
                                    const snapshot::EndpointsPart& endpoints,
                                    std::uint64_t now_ms) const;
  /// From any thread.
  [[nodiscard]] EndpointState look(const std::string& cluster,
                                   const SocketAddress& endpoint,
                                   std::uint64_t now_ms) const;
  /// Forgets clusters and endpoints that the snapshot does not have and nobody uses.
  void prune(const snapshot::Snapshot& snapshot);

 private:
  struct Endpoint {
    observe::Counter active;
    observe::Counter ejected_until_ms;
    unsigned failures_in_a_row = 0;
  };
  struct ClusterState {
    std::uint64_t position = 0;
    std::map<SocketAddress, Endpoint> endpoints;
  };
  ClusterState& state(const std::string& cluster);
  Endpoint& state(ClusterState& known, const SocketAddress& endpoint);
  Endpoint& state(const std::string& cluster, const SocketAddress& endpoint) {
    return state(state(cluster), endpoint);
  }

  // Held where the worker adds or takes away nodes, and where others read. The worker itself reads
  // without it.
  mutable std::mutex nodes_;
  std::map<std::string, ClusterState> clusters_;
};

}  // namespace mooring::proxy
