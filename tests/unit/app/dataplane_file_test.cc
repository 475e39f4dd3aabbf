#include <gmock/gmock.h>

#include "app/dataplane.h"

namespace mooring::app {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// What kuma-dp is given by admins today.
constexpr std::string_view kYaml = R"(type: Dataplane
mesh: default
name: rs
labels:
  kuma.io/workload: svr
  version: "1"
networking:
  address: 10.90.0.23
  inbound:
  - port: 8080
    serviceAddress: 127.0.0.1
    name: http
    protocol: http
    serviceProbe: {tcp: {}, interval: 5s, unhealthyThreshold: 3}
  - port: 9000
    servicePort: 9001
  transparentProxying:
    reachableBackends: {refs: []}
)";

config::ControlPlane expecting(std::string name = "", std::string workload = "") {
  config::ControlPlane expected;
  expected.name = std::move(name);
  expected.workload = std::move(workload);
  return expected;
}

std::string problem_of(std::string_view text,
                       const config::ControlPlane& expected = expecting("rs")) {
  const auto parsed = parse_dataplane(text, "dp.yaml", expected);
  return parsed ? "" : describe(parsed.error());
}

TEST(ParseDataplane, KeepsAllThatItSays) {
  const auto dataplane = parse_dataplane(kYaml, "dp.yaml", expecting("rs", "svr"));
  ASSERT_TRUE(dataplane) << describe(dataplane.error());
  EXPECT_EQ(dataplane->name, "rs");
  EXPECT_EQ(dataplane->workload, "svr");
  EXPECT_EQ(dataplane->address, *parse_ip("10.90.0.23"));
  EXPECT_THAT(
      dataplane->inbound,
      ElementsAre(DataplaneInbound{"http", 8080, *parse_socket_address("127.0.0.1:8080"), "http"},
                  DataplaneInbound{"", 9000, *parse_socket_address("10.90.0.23:9001"), "tcp"}));
  EXPECT_FALSE(dataplane->has_outbounds);
  EXPECT_EQ(dataplane->json,
            R"({"labels":{"kuma.io/workload":"svr","version":"1"},"mesh":"default","name":"rs",)"
            R"("networking":{"address":"10.90.0.23","inbound":[{"name":"http","port":8080,)"
            R"("protocol":"http","serviceAddress":"127.0.0.1","serviceProbe":{"interval":"5s",)"
            R"("tcp":{},"unhealthyThreshold":3}},{"port":9000,"servicePort":9001}],)"
            R"("transparentProxying":{"reachableBackends":{"refs":[]}}},"type":"Dataplane"})");
}

TEST(ParseDataplane, ReadsJsonAsWell) {
  const auto dataplane = parse_dataplane(
      R"({"type": "Dataplane", "networking": {"address": "fd00::7", "outbound": [{"port": 21080}]}})",
      "dp.json",
      expecting("web", "shop"));
  ASSERT_TRUE(dataplane) << describe(dataplane.error());
  EXPECT_TRUE(dataplane->has_outbounds);
  EXPECT_EQ(
      dataplane->json,
      R"({"labels":{"kuma.io/workload":"shop"},"mesh":"default","name":"web",)"
      R"("networking":{"address":"fd00::7","outbound":[{"port":21080}]},"type":"Dataplane"})");
}

TEST(ParseDataplane, ContradictionsAreNamed) {
  EXPECT_EQ(problem_of(kYaml, expecting("web")),
            "dp.yaml: name is \"rs\", and the configuration says \"web\" (make them the same, or "
            "leave it out of the file)");
  config::ControlPlane other = expecting("rs");
  other.mesh = "shop";
  EXPECT_THAT(problem_of(kYaml, other), HasSubstr("mesh is \"default\", and the configuration"));
  EXPECT_THAT(problem_of(kYaml, expecting("rs", "db")),
              HasSubstr("label kuma.io/workload is \"svr\", and the configuration says \"db\""));
}

TEST(ParseDataplane, EveryMistakeHasItsSentence) {
  EXPECT_EQ(problem_of("type: Mesh\n"),
            "dp.yaml: is no Dataplane (the file begins with type: Dataplane)");
  EXPECT_THAT(problem_of("- a\n"), HasSubstr("is no Dataplane"));
  EXPECT_THAT(problem_of(""), HasSubstr("is no Dataplane"));
  EXPECT_THAT(problem_of("type: [\n"), HasSubstr("dp.yaml:2:1: the YAML is broken"));
  EXPECT_THAT(problem_of("type: Dataplane\nnetworking: {address: 127.0.0.1}\n"),
              HasSubstr("networking.address is \"127.0.0.1\", which is no address that other"));
  EXPECT_THAT(problem_of("type: Dataplane\n", expecting()), HasSubstr("has no name"));
  constexpr std::string_view kStart = "type: Dataplane\nnetworking:\n  address: 10.0.0.1\n";
  const auto with = [&](std::string_view rest) {
    return problem_of(std::string(kStart) + std::string(rest));
  };
  EXPECT_EQ(with("  inbound: [{port: 80}, {port: 700000}]\n"),
            "dp.yaml: networking.inbound[1] has no port between 1 and 65535");
  EXPECT_THAT(with("  inbound: [{name: a}]\n"), HasSubstr("inbound[0] has no port"));
  EXPECT_THAT(with("  inbound: [{port: 80, servicePort: -1}]\n"), HasSubstr("has no servicePort"));
  EXPECT_THAT(with("  inbound: [{port: 80, serviceAddress: db}]\n"),
              HasSubstr("has no serviceAddress"));
  EXPECT_THAT(with("  listeners: [{type: ZoneIngress}]\n"), HasSubstr("zone proxy"));
}

TEST(ParseDataplane, HostileFilesEnd) {
  EXPECT_THAT(problem_of(std::string(kMaxDataplaneBytes + 1, ' ')), HasSubstr("is larger than"));
  std::string deep = "type: Dataplane\nx: ";
  for (int i = 0; i < 10'000; ++i)
    deep += '[';
  EXPECT_FALSE(problem_of(deep).empty());
  std::string bomb = "type: Dataplane\na0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 12; ++i) {
    bomb += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [";
    for (int j = 0; j < 10; ++j)
      bomb += "*a" + std::to_string(i - 1) + ", ";
    bomb += "x]\n";
  }
  EXPECT_THAT(problem_of(bomb), HasSubstr("by aliases"));
}

}  // namespace
}  // namespace mooring::app
