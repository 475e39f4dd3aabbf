// The health of all endpoints, as far as the agent finds out itself: outlier detection over the
// results of all workers, and active health checks. On the control thread, because Envoy's rules
// speak of a process: five failures are five whichever worker they came to, and an endpoint is
// checked once. Workers hear of each change; connections do not wait for it.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "core/loop.h"
#include "net/stream.h"
#include "policy/health_check.h"
#include "policy/outlier.h"
#include "proxy/health_probe.h"
#include "proxy/tls_contexts.h"
#include "proxy/worker.h"
#include "snapshot/snapshot.h"

namespace mooring::proxy {

class UpstreamHealth {
 public:
  struct Hooks {
    std::function<void(const UseHealth&)> to_workers;
    /// Connections to an endpoint that came about so far, of all workers.
    std::function<std::uint64_t(const std::string& cluster, const SocketAddress&)> succeeded;
    /// The cluster ever had a connection.
    std::function<bool(const std::string& cluster)> had_traffic;
  };
  UpstreamHealth(Loop& loop, Hooks hooks, std::uint64_t seed);

  /// Before the workers get the snapshot. What is known of endpoints that stay is kept, unless the
  /// cluster's outlier detection or health check is another.
  void use(const snapshot::SnapshotPtr& snapshot);
  void connect_failed(const ConnectFailed& failure);

  struct Seen {
    bool is_ejected = false;
    bool fails_check = false;
  };
  [[nodiscard]] Seen seen(const std::string& cluster, const SocketAddress& endpoint) const;

 private:
  struct Checked {
    explicit Checked(const snapshot::HealthCheck& options) : state(options) {}
    policy::HealthCheckState state;
    std::unique_ptr<HealthProbe> probe;
    std::unique_ptr<Timer> next;
  };
  struct Cluster {
    snapshot::ClusterPtr part;
    snapshot::EndpointsPtr endpoints;
    std::optional<snapshot::HealthCheck> check;
    std::optional<policy::OutlierDetector> outliers;
    std::unique_ptr<Timer> interval;
    std::map<SocketAddress, std::uint64_t> heard;  // successes that `outliers` knows of
    std::map<SocketAddress, Checked> checked;
    // Envoy does not use a cluster before each endpoint has been checked once. Here it is in use at
    // once, and until then those without a result pass for healthy.
    bool is_warm = false;
    std::shared_ptr<const ClusterHealth> told;
  };

  void watch(const snapshot::ClusterPtr& part, const snapshot::EndpointsPtr& endpoints);
  void forget(const std::string& name);
  void set_endpoints(Cluster& cluster, const snapshot::EndpointsPtr& endpoints);
  void check_endpoints(Cluster& cluster, const snapshot::HealthCheck& check);
  void begin_check(Cluster& cluster, const SocketAddress& endpoint);
  void on_checked(Cluster& cluster, const SocketAddress& endpoint, bool is_success);
  void on_interval(Cluster& cluster);
  void hear_successes(Cluster& cluster, const SocketAddress& endpoint);
  void tell(Cluster& cluster);

  Loop& loop_;
  Hooks hooks_;
  policy::Random random_;
  net::StreamPool pool_;
  TlsContexts contexts_;
  snapshot::SnapshotPtr snapshot_;
  std::map<std::string, Cluster> clusters_;  // those with something to watch
};

}  // namespace mooring::proxy
