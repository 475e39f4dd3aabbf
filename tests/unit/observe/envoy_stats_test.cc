#include "observe/envoy_stats.h"

#include <gtest/gtest.h>

namespace mooring::observe {

namespace {

TEST(EnvoyStats, NamesMetricsAsEnvoyDoes) {
  EXPECT_EQ(envoy_stats_json(
                "# TYPE envoy_cluster_upstream_cx_total counter\n"
                "envoy_cluster_upstream_cx_total{envoy_cluster_name=\"we\\\"b\"} 3\n"
                "envoy_listener_downstream_cx_total{envoy_listener_address=\"0.0.0.0_80\"} 4\n"
                "envoy_rbac_allowed{envoy_rbac_prefix=\"inbound\"} 5\n"
                "envoy_server_live 1\n"
                "mooring_capture_active 0\n"),
            R"({"stats":[{"name":"cluster.we\"b.upstream_cx_total","value":3},)"
            R"({"name":"listener.0.0.0.0_80.downstream_cx_total","value":4},)"
            R"({"name":"inbound.rbac.allowed","value":5},{"name":"server.live","value":1},)"
            R"({"name":"mooring_capture_active","value":0}]})");
}

TEST(EnvoyStats, AsTextIsALineForEachInOrder) {
  EXPECT_EQ(envoy_stats_text("envoy_server_live 1\n"
                             "envoy_cluster_upstream_cx_total{envoy_cluster_name=\"web\"} 3\n"
                             "odd nan\n"),
            "cluster.web.upstream_cx_total: 3\nserver.live: 1\n");
}

TEST(EnvoyStats, LeavesOutHistogramsAndWhatIsNoNumber) {
  EXPECT_EQ(envoy_stats_json("envoy_cluster_x_ms_bucket{envoy_cluster_name=\"a\",le=\"+Inf\"} 3\n"
                             "envoy_cluster_x_ms_sum{envoy_cluster_name=\"a\"} 3\n"
                             "odd nan\nodd\n\n"),
            R"({"stats":[]})");
}

}  // namespace

}  // namespace mooring::observe
