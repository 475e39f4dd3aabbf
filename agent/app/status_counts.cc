#include "app/status_counts.h"

#include <algorithm>

namespace mooring::app {

namespace {

using observe::CloseReason;

// Refused before policy was asked.
constexpr CloseReason kBeforePolicy[] = {CloseReason::no_identity,
                                         CloseReason::plaintext_refused,
                                         CloseReason::handshake_timeout,
                                         CloseReason::handshake_failed,
                                         CloseReason::no_peer_certificate,
                                         CloseReason::peer_untrusted,
                                         CloseReason::peer_expired,
                                         CloseReason::bad_identity,
                                         CloseReason::peer_rejected_us,
                                         CloseReason::late_tls};

}  // namespace

ServiceCounts count_listener(const observe::StatsRegistry& stats, const std::string& listener) {
  ServiceCounts sum;
  for (const auto& [key, blocks] : stats.listeners()) {
    if (key.name != listener) continue;
    for (std::size_t i = 0; i < stats.workers(); ++i) {
      const observe::ListenerStats& block = blocks[i];
      sum.connections += block.downstream_cx_active.value();
      sum.accepted += block.rbac_allowed.value();
      sum.denied += block.rbac_denied.value();
      sum.shadow_denied += block.rbac_shadow_denied.value();
      for (const CloseReason reason : kBeforePolicy)
        sum.failed += block.closed[static_cast<std::size_t>(reason)].value();
    }
  }
  return sum;
}

UpstreamCounts count_cluster(const observe::StatsRegistry& stats, const std::string& cluster) {
  UpstreamCounts sum;
  const auto found = stats.clusters().find(cluster);
  if (found == stats.clusters().end()) return sum;
  for (std::size_t i = 0; i < stats.workers(); ++i) {
    const observe::ClusterStats& block = found->second[i];
    sum.connections += block.upstream_cx_active.value();
    sum.opened += block.upstream_cx_total.value();
    sum.failures += block.upstream_cx_connect_fail.value();
  }
  return sum;
}

bool last_connect_failed(const observe::StatsRegistry& stats, const std::string& cluster) {
  const auto found = stats.clusters().find(cluster);
  if (found == stats.clusters().end()) return false;
  std::uint64_t connected = 0;
  std::uint64_t failed = 0;
  for (std::size_t i = 0; i < stats.workers(); ++i) {
    connected = std::max(connected, found->second[i].last_connect_ms.value());
    failed = std::max(failed, found->second[i].last_connect_fail_ms.value());
  }
  return failed > connected;
}

}  // namespace mooring::app
