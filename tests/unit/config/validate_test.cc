#include "config/validate.h"

#include <gtest/gtest.h>

#include "config/overlap.h"
#include "support.h"

namespace mooring::config {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::string service(std::string_view name, int port, std::string_view more = "") {
  return fmt::format(
      "[[service]]\nname = \"{}\"\nport = {}\nallow = [\"spiffe://shop.example/web\"]\n{}",
      name,
      port,
      more);
}

std::string upstream(std::string_view name, std::string_view address, int port) {
  return fmt::format(
      "[[upstream]]\nname = \"{}\"\naddresses = [\"{}\"]\nports = [{}]\nspiffe_ids = "
      "[\"spiffe://shop.example/a\"]\n",
      name,
      address,
      port);
}

TEST(ValidateServices, TwoOnOnePortAreRefused) {
  EXPECT_EQ(only_problem(host_with(service("a", 80) + service("b", 80))),
            "agent.toml:9:1: port 80 belongs to two services (the other one is service a "
            "(agent.toml:3:1))");
}

TEST(ValidateServices, TwoOfOneNameAreRefused) {
  EXPECT_EQ(only_problem(host_with(service("a", 80) + service("a", 81))),
            "agent.toml:8:1: two services are named \"a\" (the other one is at agent.toml:4:1)");
}

TEST(ValidateServices, NamesOfServicesAndUpstreamsAreApart) {
  EXPECT_THAT(problems_of(host_with(service("a", 80) + upstream("a", "10.0.0.1", 80))), IsEmpty());
}

TEST(ValidateServices, SshAndCapturePortsAreRefused) {
  EXPECT_THAT(only_problem(host_with(service("a", 22))),
              HasSubstr("agent.toml:5:1: port 22 is never captured"));
  EXPECT_THAT(only_problem(host_with(service("a", 15006))),
              HasSubstr("port 15006 is the agent's own capture port"));
  EXPECT_THAT(only_problem(host_with(service("a", 16001) + "[capture]\noutbound_port = 16001\n")),
              HasSubstr("port 16001 is the agent's own capture port"));
}

TEST(ValidateServices, ListenNeedsATargetElsewhere) {
  EXPECT_THAT(only_problem(host_with(service("a", 80, "listen = \"10.0.0.5:80\"\n"))),
              HasSubstr("listen needs target"));
  EXPECT_THAT(only_problem(host_with(
                  service("a", 80, "listen = \"0.0.0.0:80\"\ntarget = \"10.0.0.5:80\"\n"))),
              HasSubstr("the agent would call itself"));
  EXPECT_THAT(problems_of(host_with(
                  service("a", 80, "listen = \"10.0.0.5:80\"\ntarget = \"10.0.0.5:8080\"\n"))),
              IsEmpty());
}

TEST(ValidateServices, ListenAddressesAreTakenOnce) {
  constexpr std::string_view kListen = "listen = \"0.0.0.0:90\"\ntarget = \"10.0.0.5:8080\"\n";
  EXPECT_THAT(
      only_problem(host_with(service("a", 80, kListen) + service("b", 81, kListen))),
      HasSubstr("agent.toml:13:1: listen 0.0.0.0:90 is taken (by service a (agent.toml:3:1))"));
  EXPECT_THAT(only_problem(host_with(service("a", 80, kListen) + service("b", 90))),
              HasSubstr("listen 0.0.0.0:90 is taken (by service b (agent.toml:9:1))"));
  EXPECT_THAT(
      only_problem(host_with(service("a", 80, kListen) + "[admin]\nmetrics = \"127.0.0.1:90\"\n")),
      HasSubstr("listen is taken by admin.metrics"));
}

TEST(ValidateServices, TargetOnTheCapturePortIsALoop) {
  EXPECT_THAT(only_problem(host_with(service("a", 80, "target = \"10.0.0.5:15006\"\n"))),
              HasSubstr("target is the agent's own capture port"));
}

TEST(ValidateServices, TargetMustBeAnAddress) {
  EXPECT_THAT(only_problem(host_with(service("a", 80, "target = \"0.0.0.0:80\"\n"))),
              HasSubstr("target is no address to connect to"));
}

TEST(ValidateServices, LoopbackTargetIsAcceptedWithAWarning) {
  const auto config = config_of(host_with(service("db", 5432, "target = \"127.0.0.1:5432\"\n")));
  ASSERT_EQ(config.warnings.size(), 1U);
  EXPECT_THAT(config.warnings[0], HasSubstr("service db: target 127.0.0.1:5432 is loopback"));
  for (const char* endangered : {"pg_hba", "MySQL", "Tomcat", "Redis"}) {
    EXPECT_THAT(config.warnings[0], HasSubstr(endangered));
  }
}

TEST(ValidateServices, StrictWithoutAllowIsAcceptedWithAWarning) {
  EXPECT_THAT(config_of(host_with("[[service]]\nname = \"a\"\nport = 80\n")).warnings,
              ElementsAre(HasSubstr("every call is denied")));
  EXPECT_THAT(config_of(host_with("[[service]]\nname = \"a\"\nport = 80\nmode = \"permissive\"\n"))
                  .warnings,
              IsEmpty());
}

TEST(ValidateTrust, UnknownTrustDomainIsAWarning) {
  const auto text =
      host_with(service("a", 80, "shadow_allow = [\"spiffe://partner.example/*\"]\n"));
  EXPECT_THAT(config_of(text).warnings,
              ElementsAre(HasSubstr("no bundle for trust domain partner.example")));
  const std::string identity =
      "[identity]\nsvid = \"/a\"\nkey = \"/b\"\nbundle = \"/c\"\n[identity.federated]\n";
  EXPECT_THAT(config_of(text + identity + "\"partner.example\" = \"/d\"\n").warnings, IsEmpty());
  EXPECT_THAT(only_problem(host_with(identity + "\"shop.example\" = \"/d\"\n")),
              HasSubstr("agent.toml:8:1: \"shop.example\" is the host's own trust domain"));
}

TEST(ValidateCapture, PortsOfTheAgentMustDiffer) {
  EXPECT_THAT(only_problem(host_with("[capture]\ninbound_port = 15001\n")),
              HasSubstr("are the same"));
  EXPECT_THAT(only_problem(host_with("[admin]\nmetrics = \"0.0.0.0:15006\"\n")),
              HasSubstr("capture port"));
  EXPECT_THAT(only_problem(host_with(service("a", 15090))),
              HasSubstr("metrics uses port 15090, which is captured"));
}

TEST(ValidateCapture, OpeningStrictServicesIsAWarning) {
  EXPECT_THAT(config_of(host_with("[capture.on_agent_death]\nstrict = \"open\"\n")).warnings,
              ElementsAre(HasSubstr("strict services are open while the agent is gone")));
  EXPECT_THAT(
      config_of(host_with("[capture.on_agent_death]\nstrict = \"closed\"\noutbound = \"open\"\n"))
          .warnings,
      IsEmpty());
}

TEST(ValidateCapture, LoopbackUpstreamIsAnErrorOnlyWhereItWouldBeCaptured) {
  const std::string text = host_with(upstream("a", "127.0.0.5", 80));
  EXPECT_THAT(config_of(text).warnings, ElementsAre(HasSubstr("never captured")));
  EXPECT_THAT(only_problem(text + "[capture]\nenabled = true\n"), HasSubstr("never captured"));
}

TEST(ValidateTls, Tls13OnlyNeedsATls13Suite) {
  constexpr std::string_view kOld = "ciphers = [\"TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256\"]\n";
  EXPECT_THAT(only_problem(host_with(fmt::format("[tls]\nmin_version = \"1.3\"\n{}", kOld))),
              HasSubstr("no suite of TLS 1.3"));
  EXPECT_THAT(problems_of(host_with(fmt::format("[tls]\n{}", kOld))), IsEmpty());
  EXPECT_THAT(problems_of(host_with("[tls]\nmin_version = \"1.3\"\n")), IsEmpty());
}

TEST(ValidateLogs, TemplateNeedsTextFormat) {
  EXPECT_THAT(only_problem(host_with("[access_log]\ntemplate = \"%BYTES_SENT%\"\n")),
              HasSubstr("agent.toml:4:1"));
}

TEST(ValidateUpstreams, OverlapNamesBoth) {
  EXPECT_EQ(
      only_problem(host_with(upstream("a", "10.0.0.0/24", 5432) + upstream("b", "10.0.0.7", 5432))),
      "agent.toml:10:1: 10.0.0.7/32 port 5432 belongs to two upstreams (the other one is upstream "
      "a "
      "(agent.toml:3:1))");
}

std::vector<Overlap> overlaps_of(const std::vector<std::pair<std::string, int>>& claims) {
  std::vector<Upstream> upstreams;
  for (const auto& [address, port] : claims) {
    Upstream& added = upstreams.emplace_back();
    const auto prefix = parse_prefix(address);
    added.addresses.push_back(prefix ? Destination{*prefix, ""}
                                     : Destination{std::nullopt, address});
    added.ports.push_back(static_cast<std::uint16_t>(port));
  }
  return find_overlaps(upstreams);
}

TEST(ValidateUpstreams, TwoOfOneNameAreRefused) {
  EXPECT_THAT(
      only_problem(host_with(upstream("a", "10.0.0.1", 80) + upstream("a", "10.0.0.2", 80))),
      HasSubstr("two upstreams are named \"a\""));
}

TEST(FindOverlaps, NeedsTheSamePortAndFamily) {
  EXPECT_THAT(overlaps_of({{"10.0.0.0/24", 80}, {"10.0.0.0/24", 81}}), IsEmpty());
  EXPECT_THAT(overlaps_of({{"0.0.0.0/0", 80}, {"::/0", 80}}), IsEmpty());
  EXPECT_THAT(overlaps_of({{"10.0.0.0/25", 80}, {"10.0.0.128/25", 80}}), IsEmpty());
}

TEST(FindOverlaps, SeesNestedEqualAndNamed) {
  EXPECT_THAT(overlaps_of({{"10.0.0.1", 80}, {"10.0.0.1", 80}}),
              ElementsAre(Overlap{0, 1, "10.0.0.1/32", 80}));
  EXPECT_THAT(overlaps_of({{"10.0.0.1", 80}, {"10.0.0.0/8", 80}}),
              ElementsAre(Overlap{0, 1, "10.0.0.1/32", 80}));
  EXPECT_THAT(overlaps_of({{"db.example", 80}, {"db.example", 80}}),
              ElementsAre(Overlap{0, 1, "db.example", 80}));
}

TEST(FindOverlaps, SeesAllPairsOfANest) {
  const auto found = overlaps_of(
      {{"10.0.0.0/8", 80}, {"10.1.0.0/16", 80}, {"10.1.2.0/24", 80}, {"10.9.0.0/16", 80}});
  EXPECT_EQ(found.size(), 4U);
  EXPECT_THAT(found, Contains(Overlap{0, 3, "10.9.0.0/16", 80}));
  EXPECT_THAT(found, Contains(Overlap{1, 2, "10.1.2.0/24", 80}));
}

TEST(FindOverlaps, AnUpstreamDoesNotOverlapItself) {
  Upstream wide;
  wide.addresses = {{*parse_prefix("10.0.0.0/8"), ""},
                    {*parse_prefix("10.0.0.0/8"), ""},
                    {*parse_prefix("10.0.0.1"), ""}};
  wide.ports = {80, 80};
  EXPECT_THAT(find_overlaps({wide}), IsEmpty());
}

TEST(ValidateReload, AnEqualTextGivesAnEqualConfiguration) {
  const std::string text = host_with(service("a", 80, "target = \"127.0.0.1:80\"\n"));
  EXPECT_EQ(config_of(text),
            config_of(host_with("\n# moved by a line\n") +
                      service("a", 80, "target = \"127.0.0.1:80\"\n")));
  EXPECT_NE(config_of(text), config_of(host_with(service("a", 81, "target = \"127.0.0.1:80\"\n"))));
}

}  // namespace
}  // namespace mooring::config
