// Counters of the data path under Envoy's names. Each block has one writer, its worker; the control
// thread reads it while it changes. Blocks are made by the control thread before a snapshot goes
// out, keyed by name, and outlive snapshots.
#pragma once

#include <array>
#include <atomic>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "observe/close_reason.h"

namespace mooring::observe {

/// Single writer; a relaxed load and store, no read-modify-write.
class Counter {
 public:
  void add(std::uint64_t count = 1) noexcept {
    value_.store(value_.load(std::memory_order_relaxed) + count, std::memory_order_relaxed);
  }
  void sub(std::uint64_t count = 1) noexcept {
    value_.store(value_.load(std::memory_order_relaxed) - count, std::memory_order_relaxed);
  }
  void set(std::uint64_t value) noexcept { value_.store(value, std::memory_order_relaxed); }
  [[nodiscard]] std::uint64_t value() const noexcept {
    return value_.load(std::memory_order_relaxed);
  }

 private:
  std::atomic<std::uint64_t> value_{0};
};

/// Envoy's default bucket bounds (source/common/stats/histogram_impl.cc; seen in /stats/prometheus
/// of Envoy 1.40); a value that equals a bound belongs to it. What is above the last one counts
/// into the bucket of +Inf.
inline constexpr std::array<double, 19> kMsBounds{0.5,
                                                  1,
                                                  5,
                                                  10,
                                                  25,
                                                  50,
                                                  100,
                                                  250,
                                                  500,
                                                  1000,
                                                  2500,
                                                  5000,
                                                  10000,
                                                  30000,
                                                  60000,
                                                  300000,
                                                  600000,
                                                  1800000,
                                                  3600000};

class Histogram {
 public:
  void record(double value_ms) noexcept;
  /// Not cumulative; kMsBounds.size() is the one of +Inf.
  [[nodiscard]] std::uint64_t bucket(std::size_t index) const noexcept {
    return buckets_[index].value();
  }
  [[nodiscard]] double sum() const noexcept {
    return static_cast<double>(sum_us_.value()) / 1000.0;
  }

 private:
  std::array<Counter, kMsBounds.size() + 1> buckets_;
  Counter sum_us_;
};

/// envoy_listener_*, envoy_tcp_*, envoy_rbac_*: one per listener and worker.
struct ListenerStats {
  Counter downstream_cx_total;
  Counter downstream_cx_active;
  Counter downstream_cx_rx_bytes_total;  // from the downstream
  Counter downstream_cx_tx_bytes_total;  // to the downstream
  Counter ssl_handshake;
  Counter ssl_session_reused;
  Counter ssl_connection_error;
  Counter ssl_fail_verify_no_cert;
  Counter ssl_fail_verify_error;
  Counter ssl_fail_verify_san;
  Counter no_filter_chain_match;
  Counter plaintext_accepted;  // permissive: handed to the application without mutual TLS
  Counter rbac_allowed;
  Counter rbac_denied;
  Counter rbac_shadow_allowed;
  Counter rbac_shadow_denied;
  std::array<Counter, kCloseReasons> closed;  // mooring_connections_closed_total{reason}
};

/// envoy_cluster_*: one per cluster and worker.
struct ClusterStats {
  Counter upstream_cx_total;
  Counter upstream_cx_active;
  Counter upstream_cx_connect_fail;
  Counter upstream_cx_connect_timeout;
  Counter upstream_cx_connect_attempts_exceeded;
  Counter upstream_cx_none_healthy;
  Counter upstream_cx_overflow;
  Counter upstream_cx_destroy;
  Counter upstream_cx_destroy_local;
  Counter upstream_cx_destroy_remote;
  Counter upstream_cx_rx_bytes_total;
  Counter upstream_cx_tx_bytes_total;
  Counter ssl_handshake;
  Counter ssl_session_reused;
  Counter ssl_connection_error;
  Counter ssl_fail_verify_no_cert;
  Counter ssl_fail_verify_error;
  Counter ssl_fail_verify_san;
  // Gauges that every worker knows in full: the export shows the largest, not the sum.
  Counter membership_total;
  Counter membership_healthy;
  Counter ejections_active;
  Counter ejections_enforced_total;
  Counter lb_healthy_panic;  // times that too few were healthy, so that health was not looked at
  Counter last_connect_ms;   // on the monotonic clock, 0: never; for status, not exported
  Counter last_connect_fail_ms;  // likewise
  Histogram upstream_cx_connect_ms;
  Histogram upstream_cx_length_ms;
};

/// One per worker.
struct WorkerStats {
  Counter accept_paused;  // times that accepting stopped for lack of descriptors
  Counter handshakes_active;
  Counter connections_active;
};

struct ListenerKey {
  std::string name;     // envoy_tcp_prefix, e.g. "inbound_shop"
  std::string address;  // envoy_listener_address, e.g. "0.0.0.0_8080"

  friend auto operator<=>(const ListenerKey&, const ListenerKey&) = default;
};

/// All blocks. Control thread only; the blocks themselves are handed to their workers. Addresses
/// are stable.
class StatsRegistry {
 public:
  explicit StatsRegistry(std::size_t workers) : workers_(workers), worker_(workers) {}

  [[nodiscard]] std::size_t workers() const noexcept { return workers_; }
  [[nodiscard]] ListenerStats& listener(const ListenerKey& key, std::size_t worker);
  [[nodiscard]] ClusterStats& cluster(const std::string& name, std::size_t worker);
  [[nodiscard]] WorkerStats& worker(std::size_t index) { return worker_[index]; }
  [[nodiscard]] const WorkerStats& worker(std::size_t index) const { return worker_[index]; }

  using Listeners = std::map<ListenerKey, std::unique_ptr<ListenerStats[]>>;
  using Clusters = std::map<std::string, std::unique_ptr<ClusterStats[]>, std::less<>>;
  [[nodiscard]] const Listeners& listeners() const noexcept { return listeners_; }
  [[nodiscard]] const Clusters& clusters() const noexcept { return clusters_; }

 private:
  std::size_t workers_;
  std::vector<WorkerStats> worker_;
  Listeners listeners_;
  Clusters clusters_;
};

}  // namespace mooring::observe
