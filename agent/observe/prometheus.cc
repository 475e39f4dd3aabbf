#include "observe/prometheus.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <string_view>

namespace mooring::observe {

namespace {

using Labels = std::vector<std::pair<std::string, std::string>>;

// Backslash, quote and line end are the only bytes that a label value escapes (exposition format
// 0.0.4).
void append_escaped(std::string& out, std::string_view value) {
  for (const char c : value) {
    if (c == '\\' || c == '"') out += '\\';
    if (c == '\n') {
      out += "\\n";
    } else {
      out += c;
    }
  }
}

class Page {
 public:
  explicit Page(const PrometheusOptions& options) : wants_(options.wants) {
    for (const auto& [name, value] : options.labels)
      append_label(common_, name, value);
  }

  /// The samples after it are of this metric.
  void type(std::string_view metric, std::string_view kind) {
    is_wanted_ = !wants_ || wants_(metric);
    if (!is_wanted_) return;
    fmt::format_to(std::back_inserter(text_), "# TYPE {} {}\n", metric, kind);
  }

  template <class Value>
  void sample(std::string_view metric, const Labels& labels, Value value) {
    if (!is_wanted_) return;
    std::string all = common_;
    for (const auto& [name, text] : labels)
      append_label(all, name, text);
    if (all.empty()) {
      fmt::format_to(std::back_inserter(text_), "{} {}\n", metric, value);
    } else {
      fmt::format_to(std::back_inserter(text_), "{}{{{}}} {}\n", metric, all, value);
    }
  }

  template <class Value>
  void single(std::string_view metric, std::string_view kind, Value value) {
    type(metric, kind);
    sample(metric, {}, value);
  }

  [[nodiscard]] std::string take() { return std::move(text_); }

 private:
  static void append_label(std::string& out, std::string_view name, std::string_view value) {
    if (!out.empty()) out += ',';
    out += name;
    out += "=\"";
    append_escaped(out, value);
    out += '"';
  }

  const std::function<bool(std::string_view)>& wants_;
  bool is_wanted_ = true;
  std::string common_;
  std::string text_;
};

template <class Stats>
struct Row {
  std::string_view metric;
  std::string_view kind;
  Counter Stats::* counter;
};

// Grouped by the label that Envoy gives them (seen in /stats/prometheus of Envoy 1.40).
constexpr Row<ListenerStats> kByAddress[] = {
    {"envoy_listener_downstream_cx_total", "counter", &ListenerStats::downstream_cx_total},
    {"envoy_listener_downstream_cx_active", "gauge", &ListenerStats::downstream_cx_active},
    {"envoy_listener_no_filter_chain_match", "counter", &ListenerStats::no_filter_chain_match},
    {"envoy_listener_ssl_handshake", "counter", &ListenerStats::ssl_handshake},
    {"envoy_listener_ssl_session_reused", "counter", &ListenerStats::ssl_session_reused},
    {"envoy_listener_ssl_connection_error", "counter", &ListenerStats::ssl_connection_error},
    {"envoy_listener_ssl_fail_verify_no_cert", "counter", &ListenerStats::ssl_fail_verify_no_cert},
    {"envoy_listener_ssl_fail_verify_error", "counter", &ListenerStats::ssl_fail_verify_error},
    {"envoy_listener_ssl_fail_verify_san", "counter", &ListenerStats::ssl_fail_verify_san},
};
constexpr Row<ListenerStats> kByTcpPrefix[] = {
    {"envoy_tcp_downstream_cx_total", "counter", &ListenerStats::downstream_cx_total},
    {"envoy_tcp_downstream_cx_rx_bytes_total",
     "counter",
     &ListenerStats::downstream_cx_rx_bytes_total},
    {"envoy_tcp_downstream_cx_tx_bytes_total",
     "counter",
     &ListenerStats::downstream_cx_tx_bytes_total},
};
constexpr Row<ListenerStats> kByRbacPrefix[] = {
    {"envoy_rbac_allowed", "counter", &ListenerStats::rbac_allowed},
    {"envoy_rbac_denied", "counter", &ListenerStats::rbac_denied},
    {"envoy_rbac_shadow_allowed", "counter", &ListenerStats::rbac_shadow_allowed},
    {"envoy_rbac_shadow_denied", "counter", &ListenerStats::rbac_shadow_denied},
};
constexpr Row<ClusterStats> kByCluster[] = {
    {"envoy_cluster_upstream_cx_total", "counter", &ClusterStats::upstream_cx_total},
    {"envoy_cluster_upstream_cx_active", "gauge", &ClusterStats::upstream_cx_active},
    {"envoy_cluster_upstream_cx_connect_fail", "counter", &ClusterStats::upstream_cx_connect_fail},
    {"envoy_cluster_upstream_cx_connect_timeout",
     "counter",
     &ClusterStats::upstream_cx_connect_timeout},
    {"envoy_cluster_upstream_cx_connect_attempts_exceeded",
     "counter",
     &ClusterStats::upstream_cx_connect_attempts_exceeded},
    {"envoy_cluster_upstream_cx_none_healthy", "counter", &ClusterStats::upstream_cx_none_healthy},
    {"envoy_cluster_upstream_cx_overflow", "counter", &ClusterStats::upstream_cx_overflow},
    {"envoy_cluster_upstream_cx_destroy", "counter", &ClusterStats::upstream_cx_destroy},
    {"envoy_cluster_upstream_cx_destroy_local",
     "counter",
     &ClusterStats::upstream_cx_destroy_local},
    {"envoy_cluster_upstream_cx_destroy_remote",
     "counter",
     &ClusterStats::upstream_cx_destroy_remote},
    {"envoy_cluster_upstream_cx_rx_bytes_total",
     "counter",
     &ClusterStats::upstream_cx_rx_bytes_total},
    {"envoy_cluster_upstream_cx_tx_bytes_total",
     "counter",
     &ClusterStats::upstream_cx_tx_bytes_total},
    {"envoy_cluster_ssl_handshake", "counter", &ClusterStats::ssl_handshake},
    {"envoy_cluster_ssl_session_reused", "counter", &ClusterStats::ssl_session_reused},
    {"envoy_cluster_ssl_connection_error", "counter", &ClusterStats::ssl_connection_error},
    {"envoy_cluster_ssl_fail_verify_no_cert", "counter", &ClusterStats::ssl_fail_verify_no_cert},
    {"envoy_cluster_ssl_fail_verify_error", "counter", &ClusterStats::ssl_fail_verify_error},
    {"envoy_cluster_ssl_fail_verify_san", "counter", &ClusterStats::ssl_fail_verify_san},
    {"envoy_cluster_lb_healthy_panic", "counter", &ClusterStats::lb_healthy_panic},
};
// Facts that each worker knows in full: the largest is the newest, a sum would multiply them.
constexpr Row<ClusterStats> kByClusterMax[] = {
    {"envoy_cluster_membership_total", "gauge", &ClusterStats::membership_total},
    {"envoy_cluster_membership_healthy", "gauge", &ClusterStats::membership_healthy},
    {"envoy_cluster_outlier_detection_ejections_active", "gauge", &ClusterStats::ejections_active},
    {"envoy_cluster_outlier_detection_ejections_enforced_total",
     "counter",
     &ClusterStats::ejections_enforced_total},
};
struct HistogramRow {
  std::string_view metric;
  Histogram ClusterStats::* histogram;
};
constexpr HistogramRow kClusterHistograms[] = {
    {"envoy_cluster_upstream_cx_connect_ms", &ClusterStats::upstream_cx_connect_ms},
    {"envoy_cluster_upstream_cx_length_ms", &ClusterStats::upstream_cx_length_ms},
};

using ListenerBlocks =
    std::vector<const ListenerStats*>;  // of all workers, and of all keys with one label
using ListenerGroups = std::map<std::string, ListenerBlocks>;
using ClusterBlocks = std::vector<const ClusterStats*>;
using ClusterGroups = std::map<std::string, ClusterBlocks>;

template <class Stats>
std::uint64_t sum(const std::vector<const Stats*>& blocks, Counter Stats::* counter) {
  std::uint64_t total = 0;
  for (const Stats* block : blocks)
    total += (block->*counter).value();
  return total;
}

std::uint64_t largest(const ClusterBlocks& blocks, Counter ClusterStats::* counter) {
  std::uint64_t most = 0;
  for (const ClusterStats* block : blocks)
    most = std::max(most, (block->*counter).value());
  return most;
}

ListenerGroups group_listeners(const StatsRegistry& registry, std::string ListenerKey::* label) {
  ListenerGroups out;
  for (const auto& [key, blocks] : registry.listeners()) {
    for (std::size_t i = 0; i < registry.workers(); ++i)
      out[key.*label].push_back(&blocks[i]);
  }
  return out;
}

bool has_traffic(const ClusterBlocks& blocks) {
  constexpr Counter ClusterStats::* kSigns[] = {&ClusterStats::upstream_cx_total,
                                                &ClusterStats::upstream_cx_connect_fail,
                                                &ClusterStats::upstream_cx_connect_timeout,
                                                &ClusterStats::upstream_cx_none_healthy,
                                                &ClusterStats::upstream_cx_overflow};
  return std::any_of(std::begin(kSigns), std::end(kSigns), [&](Counter ClusterStats::* sign) {
    return sum(blocks, sign) != 0;
  });
}

ClusterGroups group_clusters(const StatsRegistry& registry, bool unused_too) {
  ClusterGroups out;
  for (const auto& [name, blocks] : registry.clusters()) {
    ClusterBlocks all;
    for (std::size_t i = 0; i < registry.workers(); ++i)
      all.push_back(&blocks[i]);
    if (unused_too || has_traffic(all)) out.emplace(name, std::move(all));
  }
  return out;
}

template <class Rows, class Groups, class Value>
void render_rows(
    Page& page, const Rows& rows, std::string_view label, const Groups& groups, Value value) {
  if (groups.empty()) return;
  for (const auto& row : rows) {
    page.type(row.metric, row.kind);
    for (const auto& [name, blocks] : groups) {
      page.sample(row.metric, {{std::string(label), name}}, value(blocks, row.counter));
    }
  }
}

void render_histogram(Page& page,
                      const HistogramRow& row,
                      const std::string& cluster,
                      const ClusterBlocks& blocks) {
  const std::string bucket_metric = fmt::format("{}_bucket", row.metric);
  std::uint64_t count = 0;
  double total = 0;
  for (std::size_t i = 0; i <= kMsBounds.size(); ++i) {
    for (const ClusterStats* block : blocks)
      count += (block->*row.histogram).bucket(i);
    const std::string bound = i < kMsBounds.size() ? fmt::format("{:.32g}", kMsBounds[i]) : "+Inf";
    page.sample(bucket_metric, {{"envoy_cluster_name", cluster}, {"le", bound}}, count);
  }
  for (const ClusterStats* block : blocks)
    total += (block->*row.histogram).sum();
  page.sample(fmt::format("{}_sum", row.metric), {{"envoy_cluster_name", cluster}}, total);
  page.sample(fmt::format("{}_count", row.metric), {{"envoy_cluster_name", cluster}}, count);
}

std::uint64_t active_connections(const StatsRegistry& registry) {
  std::uint64_t active = 0;
  for (std::size_t i = 0; i < registry.workers(); ++i)
    active += registry.worker(i).connections_active.value();
  return active;
}

// Kuma's dashboards query these gauges. TCP has one request per connection, and the agent has one
// limit for all clusters, so each cluster shows that one.
void render_circuit_breakers(Page& page,
                             const ClusterGroups& clusters,
                             std::uint64_t limit,
                             std::uint64_t active) {
  if (limit == 0 || clusters.empty()) return;
  const std::uint64_t remaining = limit > active ? limit - active : 0;
  const auto gauge = [&](std::string_view metric, std::uint64_t value) {
    page.type(metric, "gauge");
    for (const auto& [name, blocks] : clusters)
      page.sample(metric, {{"envoy_cluster_name", name}}, value);
  };
  for (const char* what : {"cx_open", "rq_open", "rq_pending_open"}) {
    gauge(fmt::format("envoy_cluster_circuit_breakers_default_{}", what), remaining == 0 ? 1 : 0);
  }
  for (const char* what : {"remaining_cx", "remaining_rq", "remaining_pending"}) {
    gauge(fmt::format("envoy_cluster_circuit_breakers_default_{}", what), remaining);
  }
}

std::int64_t days_until_expiry(const ServerFacts& facts) {
  // What Envoy 1.40 prints where it has no certificate: the largest 32-bit number.
  if (!facts.certificate_not_after) return 4294967295;
  const auto left =
      std::chrono::floor<std::chrono::days>(*facts.certificate_not_after - facts.now).count();
  return left > 0 ? left : 0;
}

void render_server(Page& page, const ServerFacts& facts) {
  page.single("envoy_server_live", "gauge", facts.live ? 1 : 0);
  page.single("envoy_server_uptime", "gauge", facts.uptime.count());
  page.single("envoy_server_memory_allocated", "gauge", facts.memory_allocated_bytes);
  page.single("envoy_server_days_until_first_cert_expiring", "gauge", days_until_expiry(facts));
  if (facts.control_plane_connected) {
    page.single(
        "envoy_control_plane_connected_state", "gauge", *facts.control_plane_connected ? 1 : 0);
  }
}

void render_closed(Page& page, const StatsRegistry& registry) {
  constexpr std::string_view kMetric = "mooring_connections_closed_total";
  page.type(kMetric, "counter");
  for (const auto& [name, blocks] : group_listeners(registry, &ListenerKey::name)) {
    for (std::size_t reason = 0; reason < kCloseReasons; ++reason) {
      std::uint64_t count = 0;
      for (const ListenerStats* block : blocks)
        count += block->closed[reason].value();
      if (count == 0) continue;  // 29 reasons for each listener would bury the ones that happen
      page.sample(kMetric,
                  {{"listener", name}, {"reason", to_string(static_cast<CloseReason>(reason))}},
                  count);
    }
  }
}

// Zero for every listener, too: that is what somebody waits for who wants to make it strict.
void render_plaintext(Page& page, const ListenerGroups& by_name) {
  if (by_name.empty()) return;
  constexpr std::string_view kMetric = "mooring_plaintext_connections_total";
  page.type(kMetric, "counter");
  for (const auto& [name, blocks] : by_name)
    page.sample(kMetric, {{"listener", name}}, sum(blocks, &ListenerStats::plaintext_accepted));
}

void render_workers(Page& page, const StatsRegistry& registry) {
  constexpr Row<WorkerStats> kRows[] = {
      {"mooring_connections_active", "gauge", &WorkerStats::connections_active},
      {"mooring_handshakes_active", "gauge", &WorkerStats::handshakes_active},
      {"mooring_accept_paused_total", "counter", &WorkerStats::accept_paused},
  };
  for (const auto& row : kRows) {
    page.type(row.metric, row.kind);
    for (std::size_t i = 0; i < registry.workers(); ++i) {
      page.sample(
          row.metric, {{"worker", std::to_string(i)}}, (registry.worker(i).*row.counter).value());
    }
  }
}

void render_agent(Page& page, const StatsRegistry& registry, const ServerFacts& facts) {
  page.type("mooring_build_info", "gauge");
  page.sample("mooring_build_info", {{"version", facts.version}}, 1);
  render_closed(page, registry);
  render_plaintext(page, group_listeners(registry, &ListenerKey::name));
  render_workers(page, registry);
  page.type("mooring_config_reloads_total", "counter");
  page.sample("mooring_config_reloads_total", {{"result", "accepted"}}, facts.config_reloads);
  page.sample(
      "mooring_config_reloads_total", {{"result", "rejected"}}, facts.config_reload_failures);
  page.single("mooring_access_log_written_total", "counter", facts.access_log_written);
  page.single("mooring_access_log_dropped_total", "counter", facts.access_log_dropped);
  page.single("mooring_access_log_failures_total", "counter", facts.access_log_failures);
  page.single("mooring_log_dropped_total", "counter", facts.log_dropped);
  page.single("mooring_capture_active", "gauge", facts.capture_on ? 1 : 0);
  page.single("mooring_capture_repairs_total", "counter", facts.capture_repairs);
  if (facts.certificate_not_after) {
    const auto at = facts.certificate_not_after->time_since_epoch();
    page.single("mooring_certificate_expiry_timestamp_seconds",
                "gauge",
                std::chrono::floor<std::chrono::seconds>(at).count());
  }
}

}  // namespace

std::string render_prometheus(const StatsRegistry& registry,
                              const ServerFacts& facts,
                              const PrometheusOptions& options) {
  Page page(options);
  const ListenerGroups by_address = group_listeners(registry, &ListenerKey::address);
  const ListenerGroups by_name = group_listeners(registry, &ListenerKey::name);
  const ClusterGroups clusters = group_clusters(registry, options.unused_clusters);

  render_server(page, facts);
  render_rows(page, kByAddress, "envoy_listener_address", by_address, sum<ListenerStats>);
  // One certificate serves all listeners, so each shows the same count.
  constexpr std::string_view kUpdates =
      "envoy_listener_server_ssl_socket_factory_ssl_context_update_by_sds";
  if (!by_address.empty()) page.type(kUpdates, "counter");
  for (const auto& [address, blocks] : by_address) {
    page.sample(kUpdates, {{"envoy_listener_address", address}}, facts.identity_updates);
  }
  render_rows(page, kByTcpPrefix, "envoy_tcp_prefix", by_name, sum<ListenerStats>);
  render_rows(page, kByRbacPrefix, "envoy_rbac_prefix", by_name, sum<ListenerStats>);
  render_rows(page, kByCluster, "envoy_cluster_name", clusters, sum<ClusterStats>);
  render_rows(page, kByClusterMax, "envoy_cluster_name", clusters, largest);
  render_circuit_breakers(page, clusters, facts.connection_limit, active_connections(registry));
  for (const HistogramRow& row : kClusterHistograms) {
    if (!clusters.empty()) page.type(row.metric, "histogram");
    for (const auto& [name, blocks] : clusters)
      render_histogram(page, row, name, blocks);
  }
  render_agent(page, registry, facts);
  return page.take();
}

}  // namespace mooring::observe
