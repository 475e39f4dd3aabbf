#include "app/mesh_metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace mooring::app {
namespace {

using ::testing::ElementsAre;
using ::testing::Pair;

std::string body(const std::string& metrics) {
  return R"({"observability":{"metrics":)" + metrics + "}}";
}

// As a control plane of version 3.0 sends it.
TEST(ParseMeshMetrics, TakesApplicationsLabelsAndWhetherUnusedOnesCount) {
  const auto config = parse_mesh_metrics(body(
      R"({"applications":[{"name":"app","path":"/m","port":8080,"address":""},)"
      R"({"name":null,"port":9,"address":"10.0.0.1"},{"name":"l","path":"/","port":1,"address":"localhost"}],)"
      R"("backends":[{"type":"Prometheus","name":null}],"sidecar":{"profiles":{},"includeUnused":true},)"
      R"("extraLabels":{"kuma.workload":"client","mesh":"default"}})"));
  ASSERT_TRUE(config) << describe(config.error());
  ASSERT_EQ(config->applications.size(), 3U);
  EXPECT_EQ(config->applications[0],
            (MeshMetricsConfig::Application{"app", "/m", 8080, std::nullopt}));
  EXPECT_EQ(config->applications[1],
            (MeshMetricsConfig::Application{"9", "/metrics", 9, IpAddress::v4(0x0a000001)}));
  EXPECT_EQ(config->applications[2].address, IpAddress::v4_loopback());
  EXPECT_TRUE(config->own.unused_clusters);
  EXPECT_THAT(config->own.labels,
              ElementsAre(Pair("kuma_workload", "client"), Pair("mesh", "default")));
}

bool wants(const std::string& profiles, std::string_view metric) {
  const auto config = parse_mesh_metrics(body(R"({"sidecar":{"profiles":)" + profiles + "}}"));
  EXPECT_TRUE(config) << profiles;
  return !config || !config->own.wants || config->own.wants(metric);
}

TEST(ParseMeshMetrics, OfProfilesIncludeBeatsExcludeWhichBeatsTheProfile) {
  constexpr std::string_view kMetric = "envoy_cluster_upstream_cx_total";
  for (
      const char* taken :
      {"null",
       R"({"appendProfiles":[{"name":"All"}]})",
       R"({"appendProfiles":[{"name":"None"},{"name":"Basic"}]})",
       R"({"appendProfiles":[],"exclude":[{"type":"Exact","match":"envoy_cluster"}]})",
       R"({"exclude":[{"type":"Prefix","match":"cluster"}]})",
       R"({"exclude":[{"type":"Regex","match":"^cluster"}]})",
       R"({"appendProfiles":[{"name":"None"}],"include":[{"type":"Contains","match":"_cx_"}]})",
       R"({"exclude":[{"type":"Prefix","match":"envoy_"}],"include":[{"type":"Regex","match":"cx_t.t"}]})"})
    EXPECT_TRUE(wants(taken, kMetric)) << taken;
  for (const char* left_out : {R"({"appendProfiles":[{"name":"None"}]})",
                               R"({"exclude":[{"type":"Prefix","match":"envoy_cluster"}]})",
                               R"({"exclude":[{"type":"Regex","match":"upstream|downstream"}]})",
                               R"({"exclude":[{"type":"Regex","match":"^envoy.*total$"}]})"})
    EXPECT_FALSE(wants(left_out, kMetric)) << left_out;
}

TEST(ParseMeshMetrics, WithoutAnyThereIsNothingToAsk) {
  for (const std::string& text : {std::string("{}"),
                                  body("null"),
                                  body(R"({"applications":null})"),
                                  std::string(R"({"observability":[1]})")}) {
    const auto config = parse_mesh_metrics(text);
    ASSERT_TRUE(config) << text;
    EXPECT_TRUE(config->applications.empty());
  }
}

TEST(ParseMeshMetrics, RefusesWhatIsNotOfThatForm) {
  for (const std::string& text :
       {std::string(""),
        std::string("[]"),
        body("1"),
        body(R"({"applications":{}})"),
        body(R"({"applications":[1]})"),
        body(R"({"applications":[{}]})"),
        body(R"({"applications":[{"port":0}]})"),
        body(R"({"applications":[{"port":65536}]})"),
        body(R"({"applications":[{"port":1,"path":"m"}]})"),
        body(R"({"applications":[{"port":1,"path":"/m\r\nHost: x"}]})"),
        body(R"({"applications":[{"port":1,"name":"a\"b"}]})"),
        body(R"({"applications":[{"port":1,"address":"elsewhere.example"}]})"),
        body(R"({"sidecar":{"profiles":{"exclude":{}}}})"),
        body(R"({"sidecar":{"profiles":{"exclude":[{"type":"Suffix","match":"a"}]}}})"),
        body(R"({"sidecar":{"profiles":{"include":[{"type":"Regex","match":"("}]}}})"),
        body(R"({"extraLabels":[]})"),
        body(R"({"extraLabels":{"a":1}})")}) {
    EXPECT_FALSE(parse_mesh_metrics(text)) << text;
  }
  std::string many;
  for (std::size_t i = 0; i <= kMaxMetricsApplications; ++i)
    many += (i == 0 ? "" : ",") + std::string(R"({"port":1})");
  EXPECT_FALSE(parse_mesh_metrics(body(R"({"applications":[)" + many + "]}")));
}

TEST(AddPage, LabelsEachSampleAndDescribesEachMetricOnce) {
  std::string out = "# TYPE up gauge\nup 1\n";
  std::set<std::string> described{"TYPE up"};
  ASSERT_TRUE(add_page(
      out,
      "# HELP up It is.\n# TYPE up gauge\nup 1\n\n# a comment\n"
      "calls{path=\"/ {\"} 2 1700000000\r\ncalls{} 3\ncalls{mesh=\"own\",a=\"b\"} 4\n# EOF",
      {{"application", "shop"}, {"mesh", "a\"b"}},
      described,
      1000));
  EXPECT_EQ(out,
            "# TYPE up gauge\nup 1\n# HELP up It is.\n"
            "up{application=\"shop\",mesh=\"a\\\"b\"} 1\n"
            "calls{application=\"shop\",mesh=\"a\\\"b\",path=\"/ {\"} 2 1700000000\n"
            "calls{application=\"shop\",mesh=\"a\\\"b\"} 3\n"
            "calls{application=\"shop\",mesh=\"own\",a=\"b\"} 4\n");
}

TEST(AddPage, LeavesOutWhatIsTooLarge) {
  std::string out = "up 1\n";
  std::set<std::string> described;
  EXPECT_FALSE(add_page(out, "a 1\nb 2\nc 3\n", {{"application", "x"}}, described, 40));
  EXPECT_EQ(out, "up 1\n");
}

}  // namespace
}  // namespace mooring::app
