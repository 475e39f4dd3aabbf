// What must outlive snapshots about endpoints in the eyes of one worker: open connections, where
// round robin stands, and the health that the control thread tells of. Only its worker changes it.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "core/address.h"
#include "observe/stats.h"
#include "policy/balancer.h"
#include "proxy/worker.h"
#include "snapshot/snapshot.h"

namespace mooring::proxy {

class UpstreamState {
 public:
  explicit UpstreamState(std::uint64_t seed) : random_(seed) {}

  /// `now` comes into force; `changed` are its positions that the one before (null: none) did not
  /// have so. Forgets of those what nobody uses any more, and clusters that are gone.
  void use(const snapshot::Snapshot& now,
           const snapshot::Snapshot* before,
           const std::vector<std::size_t>& changed);
  void use(const UseHealth& message);

  struct Choice {
    const policy::Host* host = nullptr;  // until the next use(); null: there is none
    bool is_panic = false;
  };
  /// Picks an endpoint that is not in `tried`; `cluster` is a position of `snapshot`, which is in
  /// force.
  [[nodiscard]] Choice choose(const snapshot::Snapshot& snapshot,
                              std::size_t cluster,
                              const std::vector<SocketAddress>& tried);

  void opened(const std::string& cluster, const SocketAddress& endpoint) {
    state(cluster, endpoint).active.add();
  }
  void closed(const std::string& cluster, const SocketAddress& endpoint);
  /// The path to it was ready for bytes, TLS included.
  void succeeded(const std::string& cluster, const SocketAddress& endpoint) {
    state(cluster, endpoint).succeeded.add();
  }

  struct Membership {
    std::size_t total = 0;
    std::size_t healthy = 0;
  };
  [[nodiscard]] Membership membership(const snapshot::Snapshot& snapshot,
                                      std::size_t cluster) const;
  /// Null: nothing was told.
  [[nodiscard]] const ClusterHealth* health(const std::string& cluster) const;

  /// From any thread.
  [[nodiscard]] EndpointState look(const std::string& cluster, const SocketAddress& endpoint) const;

 private:
  struct Endpoint {
    observe::Counter active;
    observe::Counter succeeded;
  };
  struct ClusterState {
    std::map<SocketAddress, Endpoint> endpoints;
    // Made when the first connection asks; null until then. Points into the snapshot in force.
    std::unique_ptr<policy::Balancer> balancer;
    std::vector<const Endpoint*> of_host;  // at the balancer's positions
    std::uint64_t round = 0;               // where the balancer began, and how often it chose
  };
  ClusterState& state(const std::string& cluster);
  Endpoint& state(ClusterState& known, const SocketAddress& endpoint);
  Endpoint& state(const std::string& cluster, const SocketAddress& endpoint) {
    return state(state(cluster), endpoint);
  }
  void make_balancer(const snapshot::Snapshot& snapshot, std::size_t cluster, ClusterState& known);
  void apply_health(const std::string& cluster, policy::Balancer& balancer) const;
  static void forget_unused(ClusterState& known, const snapshot::EndpointsPart* endpoints);

  policy::Random random_;
  // Held where the worker adds or takes away nodes, and where others read. The worker itself reads
  // without it.
  mutable std::mutex nodes_;
  std::map<std::string, ClusterState> clusters_;
  std::map<std::string, std::shared_ptr<const ClusterHealth>> health_;
};

}  // namespace mooring::proxy
