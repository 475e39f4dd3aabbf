#include "observe/prometheus.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <sstream>

namespace mooring::observe {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

StatsRegistry busy_registry() {
  StatsRegistry registry(2);
  for (std::size_t worker = 0; worker < 2; ++worker) {
    ListenerStats& listener = registry.listener({"inbound_db", "0.0.0.0_5432"}, worker);
    listener.downstream_cx_total.add(3);
    listener.downstream_cx_rx_bytes_total.add(100);
    listener.rbac_denied.add();
    listener.plaintext_accepted.add(2);
    listener.closed[static_cast<std::size_t>(CloseReason::denied)].add();
    ClusterStats& cluster = registry.cluster("orders", worker);
    cluster.upstream_cx_total.add(2);
    cluster.membership_total.set(4);
    cluster.upstream_cx_connect_ms.record(0.7);
    cluster.upstream_cx_connect_ms.record(7);
    registry.worker(worker).connections_active.add(5);
    (void)registry.cluster("silent", worker);
  }
  return registry;
}

TEST(Prometheus, SumsOverTheWorkersUnderEnvoysNamesAndLabels) {
  const std::string page = render_prometheus(busy_registry(), {});
  EXPECT_THAT(
      page,
      HasSubstr("# TYPE envoy_listener_downstream_cx_total counter\n"
                "envoy_listener_downstream_cx_total{envoy_listener_address=\"0.0.0.0_5432\"} 6\n"));
  EXPECT_THAT(
      page,
      HasSubstr("envoy_tcp_downstream_cx_rx_bytes_total{envoy_tcp_prefix=\"inbound_db\"} 200\n"));
  EXPECT_THAT(page, HasSubstr("envoy_rbac_denied{envoy_rbac_prefix=\"inbound_db\"} 2\n"));
  EXPECT_THAT(page,
              HasSubstr("envoy_cluster_upstream_cx_total{envoy_cluster_name=\"orders\"} 4\n"));
  EXPECT_THAT(
      page,
      HasSubstr("mooring_connections_closed_total{listener=\"inbound_db\",reason=\"denied\"} 2\n"));
}

TEST(Prometheus, CountsThePlainConnectionsOfEachListener) {
  EXPECT_THAT(render_prometheus(busy_registry(), {}),
              HasSubstr("# TYPE mooring_plaintext_connections_total counter\n"
                        "mooring_plaintext_connections_total{listener=\"inbound_db\"} 4\n"));
}

TEST(Prometheus, SaysWhetherConnectionsAreCaptured) {
  EXPECT_THAT(render_prometheus(StatsRegistry(1), {}), HasSubstr("mooring_capture_active 0\n"));
  EXPECT_THAT(render_prometheus(StatsRegistry(1), {.capture_on = true}),
              HasSubstr("mooring_capture_active 1\n"));
}

TEST(Prometheus, ShowsWhatEveryWorkerKnowsOnce) {
  EXPECT_THAT(render_prometheus(busy_registry(), {}),
              HasSubstr("envoy_cluster_membership_total{envoy_cluster_name=\"orders\"} 4\n"));
}

TEST(Prometheus, HistogramsAreCumulativeWithEnvoysBounds) {
  const std::string page = render_prometheus(busy_registry(), {});
  const std::string name =
      "envoy_cluster_upstream_cx_connect_ms_bucket{envoy_cluster_name=\"orders\",le=\"";
  // The bounds of a real Envoy 1.40, in the order in which it prints them.
  const std::pair<const char*, int> expected[] = {
      {"0.5", 0},    {"1", 2},      {"5", 2},       {"10", 4},      {"25", 4},
      {"50", 4},     {"100", 4},    {"250", 4},     {"500", 4},     {"1000", 4},
      {"2500", 4},   {"5000", 4},   {"10000", 4},   {"30000", 4},   {"60000", 4},
      {"300000", 4}, {"600000", 4}, {"1800000", 4}, {"3600000", 4}, {"+Inf", 4}};
  std::string lines;
  for (const auto& [bound, count] : expected)
    lines += name + bound + "\"} " + std::to_string(count) + "\n";
  EXPECT_THAT(page, HasSubstr(lines));
  EXPECT_THAT(page, HasSubstr("_connect_ms_sum{envoy_cluster_name=\"orders\"} 15.4\n"));
  EXPECT_THAT(page, HasSubstr("_connect_ms_count{envoy_cluster_name=\"orders\"} 4\n"));
}

TEST(Prometheus, CountsTheCertificatesTakenIntoUseForEachListener) {
  ServerFacts facts;
  facts.identity_updates = 3;
  EXPECT_THAT(render_prometheus(busy_registry(), facts),
              HasSubstr("ssl_context_update_by_sds{envoy_listener_address=\"0.0.0.0_5432\"} 3\n"));
}

TEST(Prometheus, LeavesOutClustersWithoutTrafficUnlessAsked) {
  EXPECT_THAT(render_prometheus(busy_registry(), {}), Not(HasSubstr("silent")));
  EXPECT_THAT(render_prometheus(busy_registry(), {}, {.labels = {}, .unused_clusters = true}),
              HasSubstr("envoy_cluster_upstream_cx_total{envoy_cluster_name=\"silent\"} 0\n"));
}

TEST(Prometheus, LeavesOutMetricsThatAreNotWanted) {
  const PrometheusOptions options{
      .labels = {}, .unused_clusters = false, .wants = [](std::string_view metric) {
        return metric == "envoy_cluster_upstream_cx_length_ms";
      }};
  std::istringstream page(render_prometheus(busy_registry(), {}, options));
  int samples = 0;
  for (std::string line; std::getline(page, line); ++samples)
    EXPECT_THAT(line, HasSubstr("envoy_cluster_upstream_cx_length_ms")) << line;
  EXPECT_GT(samples, 3);
}

TEST(Prometheus, PutsTheCommonLabelsOnEverySampleEscaped) {
  const PrometheusOptions options{.labels = {{"mesh", "default"}, {"kuma_workload", "a\"b\\c\nd"}},
                                  .unused_clusters = false};
  std::istringstream page(render_prometheus(busy_registry(), {}, options));
  int samples = 0;
  for (std::string line; std::getline(page, line);) {
    if (line.starts_with('#')) continue;
    ++samples;
    EXPECT_THAT(line, HasSubstr("{mesh=\"default\",kuma_workload=\"a\\\"b\\\\c\\nd\"")) << line;
  }
  EXPECT_GT(samples, 50);
}

TEST(Prometheus, AddsListenersThatShareAnAddress) {
  StatsRegistry registry(1);
  registry.listener({"inbound_a", "0.0.0.0_15006"}, 0).downstream_cx_total.add(1);
  registry.listener({"inbound_b", "0.0.0.0_15006"}, 0).downstream_cx_total.add(2);
  EXPECT_THAT(
      render_prometheus(registry, {}),
      HasSubstr(
          "envoy_listener_downstream_cx_total{envoy_listener_address=\"0.0.0.0_15006\"} 3\n"));
}

TEST(Prometheus, NamesEveryMetricAndEverySampleOnce) {
  std::istringstream page(
      render_prometheus(busy_registry(), {.version = "1", .connection_limit = 20}));
  std::set<std::string> seen;
  for (std::string line; std::getline(page, line);) {
    const std::string subject = line.substr(0, line.rfind(' '));
    EXPECT_TRUE(seen.insert(subject).second) << line;
  }
}

TEST(Prometheus, ShowsWhatIsLeftOfTheConnectionLimit) {
  const std::string page =
      render_prometheus(busy_registry(), {.version = "1", .connection_limit = 15});
  EXPECT_THAT(
      page, HasSubstr("circuit_breakers_default_remaining_cx{envoy_cluster_name=\"orders\"} 5\n"));
  EXPECT_THAT(page,
              HasSubstr("circuit_breakers_default_cx_open{envoy_cluster_name=\"orders\"} 0\n"));
  EXPECT_THAT(render_prometheus(busy_registry(), {.version = "1", .connection_limit = 9}),
              HasSubstr("circuit_breakers_default_cx_open{envoy_cluster_name=\"orders\"} 1\n"));
}

std::string page_at(int days_left) {
  ServerFacts facts;
  facts.now = WallTime(std::chrono::hours(24 * 20000));
  facts.certificate_not_after = facts.now + std::chrono::hours(24 * days_left + 1);
  return render_prometheus(StatsRegistry(1), facts);
}

TEST(Prometheus, CountsTheDaysOfTheCertificate) {
  EXPECT_THAT(page_at(3), HasSubstr("envoy_server_days_until_first_cert_expiring 3\n"));
  EXPECT_THAT(page_at(-3), HasSubstr("envoy_server_days_until_first_cert_expiring 0\n"));
  EXPECT_THAT(render_prometheus(StatsRegistry(1), {}),
              HasSubstr("envoy_server_days_until_first_cert_expiring 4294967295\n"));
}

}  // namespace
}  // namespace mooring::observe
