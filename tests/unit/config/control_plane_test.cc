// [control_plane]: its keys, and what it forbids in the other sections.
#include <gtest/gtest.h>

#include "config/formats.h"
#include "config/load.h"
#include "support.h"

namespace mooring::config {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST(ControlPlaneConfig, ReadsEveryKey) {
  ControlPlane expected;
  expected.addresses = {{"cp.example", 5678}, {"fd00::5", 15678}, {"10.0.0.9", 5678}};
  expected.ca_file = "/etc/ca.pem";
  expected.token_file = "/etc/token";
  expected.mesh = "shop";
  expected.name = "web-1.dc_2";
  expected.workload = "web";
  expected.dataplane_file = "/etc/dp.yaml";
  expected.proxy = ControlPlaneProxy{"proxy.example", 3128, "user:pass"};
  expected.spire_socket = "/run/spire/api.sock";
  expected.persist_secrets = false;
  expected.state_dir = "/var/lib/other";
  expected.admin_port = 19901;
  expected.readiness_port = 19902;
  expected.dns_port = 25053;
  const AgentConfig config = config_of(R"(
[control_plane]
addresses = ["https://cp.example", "https://[fd00::5]:15678", "https://10.0.0.9:5678/"]
ca_file = "/etc/ca.pem"
token_file = "/etc/token"
mesh = "shop"
name = "web-1.dc_2"
workload = "web"
dataplane_file = "/etc/dp.yaml"
proxy = "http://user:pass@proxy.example:3128"
spire_socket = "/run/spire/api.sock"
persist_secrets = false
state_dir = "/var/lib/other"
admin_port = 19901
readiness_port = 19902
dns_port = 25053
)");
  EXPECT_EQ(config.control_plane, expected);
  EXPECT_THAT(config.warnings, IsEmpty());
}

TEST(ControlPlaneConfig, ABootstrapIsInsteadOfWhatKumaIsAskedWith) {
  const AgentConfig config = config_of("[control_plane]\nbootstrap = \"/etc/xds.yaml\"\n");
  ASSERT_TRUE(config.control_plane);
  EXPECT_EQ(config.control_plane->bootstrap_file, "/etc/xds.yaml");
  EXPECT_THAT(only_problem("[control_plane]\nbootstrap = \"/a\"\ntoken_file = \"/b\"\n"),
              HasSubstr("token_file is not used with bootstrap"));
  EXPECT_THAT(only_problem("[control_plane]\nbootstrap = \"/a\"\n[[service]]\nname = \"web\"\n"
                           "port = 80\n"),
              HasSubstr("[[service]] is not used with bootstrap"));
}

TEST(ControlPlaneConfig, HasDefaultsAndNeedsNoTrustDomain) {
  const AgentConfig config = config_of(kControlPlaneText);
  ASSERT_TRUE(config.control_plane);
  EXPECT_EQ(config.control_plane->mesh, "default");
  EXPECT_EQ(config.control_plane->admin_port, 9901);
  EXPECT_EQ(config.control_plane->readiness_port, 9902);
  EXPECT_TRUE(config.control_plane->persist_secrets);
  EXPECT_EQ(config_of(kHostText).control_plane, std::nullopt);
}

TEST(ControlPlaneConfig, ServicesAreInboundsOfTheDataplane) {
  const AgentConfig config = config_of(joined_with(R"(
[[service]]
name = "shop"
port = 8080
target = "10.0.0.5:8081"
protocol = "http2"
probe = false
[[service]]
name = "db"
port = 5432
)"));
  ASSERT_EQ(config.services.size(), 2U);
  EXPECT_EQ(config.services[0].protocol, Protocol::http2);
  EXPECT_FALSE(config.services[0].probe);
  EXPECT_EQ(config.services[1].protocol, Protocol::tcp);
  EXPECT_TRUE(config.services[1].probe);
  EXPECT_THAT(config.warnings, IsEmpty());  // strict and without allow is nothing to warn of here
}

TEST(ControlPlaneConfig, WarnsOfATrustDomainThatIsNotUsed) {
  EXPECT_THAT(config_of(host_with(kControlPlaneText)).warnings,
              ElementsAre(HasSubstr("host.trust_domain is not used")));
}

struct Mistake {
  const char* name;
  std::string_view text;  // after the four lines of [control_plane]
  std::string_view answer;
};

void PrintTo(const Mistake& mistake, std::ostream* out) {
  *out << mistake.name;
}

class ControlPlaneMistake : public ::testing::TestWithParam<Mistake> {};

TEST_P(ControlPlaneMistake, IsOneClearProblem) {
  EXPECT_EQ(only_problem(joined_with(GetParam().text)), GetParam().answer);
}

constexpr Mistake kMistakes[] = {
    {"unknown_key",
     "tokenfile = \"/a\"\n",
     R"(agent.toml:5:1: unknown key "tokenfile" in [control_plane] (did you mean "token_file"?))"},
    {"mesh",
     "mesh = \"Default\"\n",
     R"(agent.toml:5:8: mesh is "Default", which is no name of a resource (small letters, digits, '-', '.' and '_', at most 253))"},
    {"workload",
     "workload = \"web_1\"\n",
     R"(agent.toml:5:12: workload is "web_1", which is no name of a workload (small letters, digits and '-', at most 63, a letter or digit at both ends))"},
    {"proxy_with_a_secret",
     "proxy = \"https://user:secret@proxy.example\"\n",
     R"(agent.toml:5:9: proxy is no URL of a proxy (write "http://proxy.example:3128"))"},
    {"loopback",
     "address = \"127.0.0.1\"\n",
     R"(agent.toml:5:11: address is "127.0.0.1", which is no address that other hosts reach (write "10.0.0.5" or "fd00::5"))"},
    {"relative_path",
     "state_dir = \"var\"\n",
     R"(agent.toml:5:13: state_dir is "var", which is not absolute (write the path from / on))"},
    {"flag",
     "persist_secrets = \"no\"\n",
     "agent.toml:5:19: persist_secrets takes true or false, not a string (write persist_secrets = "
     "true)"},
    {"port_taken_by_capture",
     "admin_port = 15006\n",
     "agent.toml:5:1: admin_port 15006 is taken by capture.inbound_port (choose another port)"},
    {"port_taken_twice",
     "dns_port = 9902\n",
     "agent.toml:5:1: dns_port 9902 is taken by control_plane.readiness_port (choose another "
     "port)"},
    {"port_taken_by_a_service",
     "[[service]]\nname = \"a\"\nport = 9901\n",
     "agent.toml:1:1: admin_port 9901 is taken by service a (choose another port)"},
    {"identity",
     "[identity]\nsvid = \"/a\"\nkey = \"/b\"\nbundle = \"/c\"\n",
     "agent.toml:5:1: [identity] is not used with [control_plane] (the control plane names this "
     "host's identity; remove the section)"},
    {"upstream",
     "[[upstream]]\nname = \"a\"\naddresses = [\"10.0.0.3\"]\nports = [1]\nspiffe_ids = "
     "[\"spiffe://a/b\"]\n",
     "agent.toml:5:1: [[upstream]] is not used with [control_plane] (the control plane names what "
     "this host may call; remove the table)"},
    {"allow",
     "[[service]]\nname = \"a\"\nport = 80\nallow = [\"spiffe://a/b\"]\n",
     "agent.toml:8:1: allow is not used with [control_plane] (who may call is a "
     "MeshTrafficPermission of the control plane)"},
    {"mode",
     "[[service]]\nname = \"a\"\nport = 80\nmode = \"permissive\"\n",
     "agent.toml:8:1: mode is not used with [control_plane] (strict or permissive is a MeshTLS of "
     "the control plane)"},
    {"protocol",
     "[[service]]\nname = \"a\"\nport = 80\nprotocol = \"htttp\"\n",
     R"(agent.toml:8:12: protocol is "htttp", which is not known (did you mean "http"?))"},
    {"port_name",
     "[[service]]\nname = \"Shop.Web\"\nport = 80\n",
     R"(agent.toml:6:1: name is "Shop.Web", which is no name of a port in a mesh (small letters, digits and '-', a letter or digit at both ends))"},
    {"two_descriptions",
     "dataplane_file = \"/dp.yaml\"\n[[service]]\nname = \"a\"\nport = 80\n",
     "agent.toml:5:1: dataplane_file and [[service]] both say what this host serves (keep one of "
     "them; [[service]] is at agent.toml:6:1)"},
    {"two_addresses",
     "dataplane_file = \"/dp.yaml\"\naddress = \"10.0.0.5\"\n",
     "agent.toml:6:1: address is not used with dataplane_file (set networking.address in that "
     "file)"},
};

INSTANTIATE_TEST_SUITE_P(Table,
                         ControlPlaneMistake,
                         ::testing::ValuesIn(kMistakes),
                         [](const auto& test) { return std::string(test.param.name); });

TEST(ControlPlaneConfig, LacksWhatItCannotDoWithout) {
  EXPECT_EQ(only_problem("[control_plane]\nca_file = \"/a\"\ntoken_file = \"/b\"\n"),
            "agent.toml:1:1: [control_plane] lacks addresses (addresses: Where the control plane "
            "is, each tried in turn)");
}

TEST(ControlPlaneConfig, TokenMayBeACredentialOfTheServiceManager) {
  const auto token = [](std::string file) {
    Value value;
    value.text = std::move(file);
    return format::SecretPath::parse(value, {});
  };
  EXPECT_EQ(token("credential:mesh-token"), "credential:mesh-token");
  EXPECT_EQ(token("/etc/mooring/token"), "/etc/mooring/token");
  for (const char* wrong : {"credential:", "credential:../x", "credential:.x"})
    EXPECT_THAT(token(wrong).error().message, HasSubstr("no name of a credential")) << wrong;
  EXPECT_THAT(token("token").error().message, HasSubstr("not absolute"));
}

TEST(ControlPlaneConfig, IsNeededForWhatOnlyItIsTold) {
  EXPECT_EQ(only_problem(host_with("[[service]]\nname = \"a\"\nport = 80\nprotocol = \"http\"\n")),
            "agent.toml:6:1: protocol is only used with [control_plane] (without a control plane "
            "every service is TCP; remove it)");
}

TEST(ControlPlaneUrl, IsHttpsWithAHostAndNoPath) {
  const auto parse_url = [](std::string text) {
    Value value;
    value.text = std::move(text);
    return format::ControlPlaneUrl::parse(value, {});
  };
  EXPECT_EQ(parse_url("https://cp"), (ControlPlaneAddress{"cp", 5678}));
  EXPECT_EQ(parse_url("https://[::1]"), (ControlPlaneAddress{"::1", 5678}));
  EXPECT_THAT(parse_url("http://cp:5678").error().message, HasSubstr("not https://"));
  EXPECT_THAT(parse_url("cp:5678").error().message, HasSubstr("not https://"));
  for (const char* wrong : {"https://",
                            "https://cp:0",
                            "https://cp:",
                            "https://cp:5678/bootstrap",
                            "https://[::1",
                            "https://[10.0.0.1]:5678",
                            "https://a b",
                            "https://10.0.0.300",
                            "https://user@cp"}) {
    EXPECT_THAT(parse_url(wrong).error().message, HasSubstr("no address of a control plane"))
        << wrong;
  }
}

}  // namespace
}  // namespace mooring::config
