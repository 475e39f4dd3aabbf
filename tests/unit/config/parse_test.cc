#include <gtest/gtest.h>

#include "config/load.h"
#include "support.h"

namespace mooring::config {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using namespace std::chrono_literals;

constexpr std::string_view kEverything = R"(
[host]
name = "web-1"
trust_domain = "shop.example"

[identity]
svid = "/etc/mooring/svid.pem"
key = "/etc/mooring/key.pem"
bundle = "/etc/mooring/bundle.pem"
[identity.federated]
"partner.example" = "/etc/mooring/partner.pem"

[[service]]
name = "shop"
port = 8080
mode = "permissive"
server_first = true
target = "10.0.0.5:8081"
listen = "[fd00::5]:8080"
allow = ["spiffe://shop.example/web", "spiffe://partner.example/team/*"]
deny = ["spiffe://shop.example/web/old"]
shadow_allow = ["spiffe://shop.example/*"]
shadow_deny = ["spiffe://shop.example/web"]
idle_timeout = "1h"

[[upstream]]
name = "shop-db"
addresses = ["10.0.0.0/24", "fd00:1::7", "db.example"]
ports = [5432, 5433]
endpoints = ["10.0.0.3:5432", "replica.example:5433"]
spiffe_ids = ["spiffe://shop.example/db"]
sni = "db{mesh=default}"
balance = "least_connections"
connect_timeout = "1500ms"
connect_attempts = 2
idle_timeout = "0s"

[capture]
enabled = true
outbound_port = 16001
inbound_port = 16006
exclude_addresses = ["10.9.0.0/16"]
exclude_ports = [9100]
other = "refuse"
helper_socket = "/run/test/net.sock"
[capture.on_agent_death]
outbound = "closed"
permissive = "closed"
strict = "open"

[tls]
min_version = "1.3"
ciphers = ["TLS_AES_256_GCM_SHA384"]
groups = ["P-256"]
resumption = false

[limits]
workers = 4
connections = 500
handshakes = 50

[timeouts]
handshake = "3s"
drain = "2m"
keepalive_idle = "30s"
keepalive_interval = "5s"
peek = "50ms"

[log]
level = "debug"
file = "/var/log/mooring/agent.log"

[access_log]
enabled = false
file = "/var/log/mooring/access.log"
format = "text"
template = "%START_TIME%"

[admin]
socket = "/run/test/admin.sock"
metrics = "off"
)";

TEST(ParseConfig, ReadsHostAndIdentity) {
  const AgentConfig config = config_of(kEverything);
  EXPECT_EQ(config.host, (Host{"web-1", "shop.example"}));
  EXPECT_EQ(config.identity,
            (Identity{"/etc/mooring/svid.pem",
                      "/etc/mooring/key.pem",
                      "/etc/mooring/bundle.pem",
                      {{"partner.example", "/etc/mooring/partner.pem"}}}));
}

TEST(ParseConfig, ReadsEveryKeyOfAService) {
  Service expected;
  expected.name = "shop";
  expected.port = 8080;
  expected.mode = TlsMode::permissive;
  expected.server_first = true;
  expected.target = *parse_socket_address("10.0.0.5:8081");
  expected.listen = *parse_socket_address("[fd00::5]:8080");
  expected.allow = {{"spiffe://shop.example/web", false}, {"spiffe://partner.example/team/", true}};
  expected.deny = {{"spiffe://shop.example/web/old", false}};
  expected.shadow_allow = {{"spiffe://shop.example/", true}};
  expected.shadow_deny = {{"spiffe://shop.example/web", false}};
  expected.idle_timeout = 1h;
  EXPECT_THAT(config_of(kEverything).services, ElementsAre(expected));
}

TEST(ParseConfig, ReadsEveryKeyOfAnUpstream) {
  Upstream expected;
  expected.name = "shop-db";
  expected.addresses = {{*parse_prefix("10.0.0.0/24"), ""},
                        {*parse_prefix("fd00:1::7"), ""},
                        {std::nullopt, "db.example"}};
  expected.ports = {5432, 5433};
  expected.endpoints = {{*parse_socket_address("10.0.0.3:5432"), "", 0},
                        {std::nullopt, "replica.example", 5433}};
  expected.spiffe_ids = {{"spiffe://shop.example/db", false}};
  expected.sni = "db{mesh=default}";
  expected.lb_policy = LbPolicy::least_connections;
  expected.connect_timeout = 1500ms;
  expected.connect_attempts = 2;
  EXPECT_THAT(config_of(kEverything).upstreams, ElementsAre(expected));
}

TEST(ParseConfig, ReadsTheOtherSections) {
  const AgentConfig config = config_of(kEverything);
  Capture capture;
  capture.enabled = true;
  capture.outbound_port = 16001;
  capture.inbound_port = 16006;
  capture.exclude_addresses = {*parse_prefix("10.9.0.0/16")};
  capture.exclude_ports = {9100};
  capture.other = OtherTraffic::refuse;
  capture.outbound_on_agent_death = OnAgentDeath::closed;
  capture.permissive_on_agent_death = OnAgentDeath::closed;
  capture.strict_on_agent_death = OnAgentDeath::open;
  capture.helper_socket = "/run/test/net.sock";
  EXPECT_EQ(config.capture, capture);
  EXPECT_EQ(config.tls, (Tls{TlsVersion::tls13, {"TLS_AES_256_GCM_SHA384"}, {"P-256"}, false}));
  EXPECT_EQ(config.limits, (Limits{4, 500, 50}));
  EXPECT_EQ(config.timeouts, (Timeouts{3s, 2min, 30s, 5s, 50ms}));
  EXPECT_EQ(config.logging,
            (Logging{log::Level::debug,
                     "/var/log/mooring/agent.log",
                     false,
                     "/var/log/mooring/access.log",
                     LogFormat::text,
                     "%START_TIME%"}));
  EXPECT_EQ(config.admin, (Admin{"/run/test/admin.sock", std::nullopt}));
}

TEST(ParseConfig, LeavesDefaultsWhereNothingIsWritten) {
  AgentConfig expected;
  expected.host.trust_domain = "shop.example";
  EXPECT_EQ(config_of(kHostText), expected);
  EXPECT_EQ(expected.admin.metrics, *parse_socket_address("127.0.0.1:15090"));
}

TEST(ParseConfig, TargetHostIsTheDefault) {
  const auto config =
      config_of(host_with("[[service]]\nname = \"a\"\nport = 80\ntarget = \"host\"\n"));
  ASSERT_EQ(config.services.size(), 1U);
  EXPECT_EQ(config.services[0].target, std::nullopt);
}

TEST(ParseConfig, AppendsTablesOfSeveralFiles) {
  const auto parsed =
      parse({{"agent.toml", host_with(kUpstreamText)},
             {"conf.d/a.toml", "[[service]]\nname = \"a\"\nport = 80\n"},
             {"conf.d/b.toml", "[[service]]\nname = \"b\"\nport = 81\n[log]\nlevel = \"warn\"\n"}});
  ASSERT_TRUE(parsed) << describe(parsed.error().front());
  ASSERT_EQ(parsed->services.size(), 2U);
  EXPECT_EQ(parsed->services[0].name, "a");
  EXPECT_EQ(parsed->services[1].name, "b");
  EXPECT_EQ(parsed->logging.level, log::Level::warn);
}

TEST(ParseConfig, RefusesAScalarSetInTwoFilesAndNamesBoth) {
  const auto problems = problems_of({{"agent.toml", host_with("[limits]\nworkers = 1\n")},
                                     {"conf.d/a.toml", "\n[limits]\n  workers = 2\n"}});
  ASSERT_EQ(problems.size(), 1U);
  EXPECT_EQ(
      describe(problems[0]),
      "conf.d/a.toml:3:3: workers in [limits] is set twice (the other one is at agent.toml:4:1)");
}

TEST(ParseConfig, MergesDifferentKeysOfOneSection) {
  const auto parsed = parse({{"agent.toml", host_with("[limits]\nworkers = 1\n")},
                             {"conf.d/a.toml", "[limits]\nhandshakes = 7\n"}});
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->limits, (Limits{1, 100000, 7}));
}

// One row per way to be wrong: the text after the two lines of [host], and the whole answer.
struct Mistake {
  const char* name;
  std::string_view text;
  std::string_view answer;
};

void PrintTo(const Mistake& mistake, std::ostream* out) {
  *out << mistake.name;
}

class ConfigMistake : public ::testing::TestWithParam<Mistake> {};

TEST_P(ConfigMistake, IsOneClearProblem) {
  EXPECT_EQ(only_problem(host_with(GetParam().text)), GetParam().answer);
}

constexpr Mistake kMistakes[] = {
    {"unknown_key",
     "[limits]\nwokers = 2\n",
     R"(agent.toml:4:1: unknown key "wokers" in [limits] (did you mean "workers"?))"},
    {"unknown_key_of_another_section",
     "[limits]\ntrust_domain = \"a\"\n",
     R"(agent.toml:4:1: unknown key "trust_domain" in [limits] (trust_domain belongs to [host]))"},
    {"unknown_key_far_from_any",
     "[log]\nzzzzzzz = 2\n",
     R"(agent.toml:4:1: unknown key "zzzzzzz" in [log] (known here: level, file))"},
    {"unknown_section",
     "[servcie]\nname = \"a\"\n",
     R"(agent.toml:3:2: unknown section "servcie" (did you mean [[service]]?))"},
    {"unknown_inner_section",
     "[capture.on_agent_dead]\nstrict = \"open\"\n",
     R"(agent.toml:3:10: unknown key "on_agent_dead" in [capture] (did you mean "on_agent_death"?))"},
    {"list_section_as_table",
     "[service]\nname = \"a\"\n",
     "agent.toml:3:2: service is not written as [[service]] (write [[service]])"},
    {"section_as_list",
     "[[limits]]\nworkers = 1\n",
     "agent.toml:3:3: limits is not written as [limits] (write [limits])"},
    {"syntax",
     "[limits]\nworkers = \n",
     "agent.toml:4:11: Error while parsing key-value pair: expected value, saw '\\n'"},
    {"key_twice_in_a_file",
     "[limits]\nworkers = 1\nworkers = 2\n",
     "agent.toml:5:11: Error while parsing key-value pair: cannot redefine existing integer "
     "'workers'"},
    {"number_as_duration",
     "[timeouts]\nhandshake = 5\n",
     R"(agent.toml:4:13: handshake takes a duration, not an integer (write handshake = "5s"))"},
    {"duration_without_unit",
     "[timeouts]\nhandshake = \"5\"\n",
     R"(agent.toml:4:13: handshake is "5", which is no duration (write a whole number and ms, s, m or h: "100ms", "5s", "2m", "1h"))"},
    {"duration_beyond_bounds",
     "[timeouts]\npeek = \"101ms\"\n",
     R"(agent.toml:4:8: peek is "101ms", out of range (from 1ms to 100ms))"},
    {"duration_that_overflows",
     "[timeouts]\ndrain = \"9223372036854775807h\"\n",
     R"(agent.toml:4:9: drain is "9223372036854775807h", out of range (from 0s to 1h))"},
    {"number_beyond_bounds",
     "[limits]\nworkers = -1\n",
     "agent.toml:4:11: workers is -1, out of range (from 0 to 60)"},
    {"port_as_text",
     "[capture]\ninbound_port = \"15006\"\n",
     "agent.toml:4:16: inbound_port takes a port, not a string (write inbound_port = 5432)"},
    {"port_beyond_bounds",
     "[capture]\ninbound_port = 65536\n",
     "agent.toml:4:16: inbound_port is 65536, out of range (from 1 to 65535)"},
    {"flag_as_text",
     "[capture]\nenabled = \"yes\"\n",
     "agent.toml:4:11: enabled takes true or false, not a string (write enabled = true)"},
    {"word",
     "[tls]\nmin_version = \"1.1\"\n",
     R"(agent.toml:4:15: min_version is "1.1", which is not known (did you mean "1.2"?))"},
    {"word_far_from_any",
     "[tls]\nmin_version = \"newest\"\n",
     R"(agent.toml:4:15: min_version is "newest", which is not known (one of "1.2", "1.3"))"},
    {"cipher",
     "[tls]\nciphers = [\"TLS_AES_128_GCM_SHA265\"]\n",
     R"(agent.toml:4:12: ciphers is "TLS_AES_128_GCM_SHA265", which is not known (did you mean "TLS_AES_128_GCM_SHA256"?))"},
    {"scalar_for_list",
     "[capture]\nexclude_addresses = \"10.0.0.0/8\"\n",
     R"(agent.toml:4:21: exclude_addresses takes a list, not a string (write exclude_addresses = ["10.0.0.0/8"]))"},
    {"wrong_item",
     "[capture]\nexclude_ports = [80, \"81\"]\n",
     "agent.toml:4:22: exclude_ports takes a list, each a port, not a string (write exclude_ports "
     "= [5432])"},
    {"host_bits",
     "[capture]\nexclude_addresses = [\"10.0.0.5/24\"]\n",
     R"(agent.toml:4:22: exclude_addresses has "10.0.0.5/24" with bits set beyond its length (write "10.0.0.0/24" for the block or "10.0.0.5" for the one address))"},
    {"host_bits_v6",
     "[capture]\nexclude_addresses = [\"fd00::5/64\"]\n",
     R"(agent.toml:4:22: exclude_addresses has "fd00::5/64" with bits set beyond its length (write "fd00::/64" for the block or "fd00::5" for the one address))"},
    {"no_address",
     "[capture]\nexclude_addresses = [\"10.0.0.0/33\"]\n",
     R"(agent.toml:4:22: exclude_addresses has "10.0.0.0/33", which is no address or CIDR block (write "10.0.0.5", "10.0.0.0/24" or "fd00::/64"))"},
    {"relative_path",
     "[log]\nfile = \"agent.log\"\n",
     R"(agent.toml:4:8: file is "agent.log", which is not absolute (write the path from / on))"},
    {"metrics_without_port",
     "[admin]\nmetrics = \"127.0.0.1\"\n",
     R"(agent.toml:4:11: metrics is "127.0.0.1", which is no address with a port (write "10.0.0.5:5432" or "[fd00::5]:5432"))"},
    {"missing_keys",
     "[identity]\nsvid = \"/a\"\nkey = \"/b\"\n",
     "agent.toml:3:1: [identity] lacks bundle (bundle: PEM file: the trust anchors of "
     "host.trust_domain)"},
    {"federated_domain",
     "[identity]\nsvid = \"/a\"\nkey = \"/b\"\nbundle = \"/c\"\nfederated.\"Partner\" = \"/d\"\n",
     R"(agent.toml:7:11: "Partner" is no trust domain (write "partner.example" = "/etc/mooring/partner.pem"))"},
    {"pattern_with_star_inside",
     "[[service]]\nname = \"a\"\nport = 80\nallow = [\"spiffe://shop.example/*/web\"]\n",
     R"(agent.toml:6:10: allow has "spiffe://shop.example/*/web", which is no SPIFFE ID ('*' stands only at the end, after a '/': "spiffe://domain/team/*"))"},
    {"pattern_without_scheme",
     "[[service]]\nname = \"a\"\nport = 80\nallow = [\"shop.example/web\"]\n",
     R"(agent.toml:6:10: allow has "shop.example/web", which is no SPIFFE ID (write "spiffe://domain/path", with /* at the end for all below))"},
    {"service_name",
     "[[service]]\nname = \"a b\"\nport = 80\n",
     R"(agent.toml:4:8: name is "a b", which is no name (letters, digits, '-', '_' and '.', at most 63, beginning with a letter or digit))"},
};

INSTANTIATE_TEST_SUITE_P(Table,
                         ConfigMistake,
                         ::testing::ValuesIn(kMistakes),
                         [](const auto& test) { return std::string(test.param.name); });

TEST(ParseConfig, MistypedAddressIsNotTakenForAHostName) {
  const auto problems = problems_of(
      host_with("[[upstream]]\nname = \"a\"\naddresses = [\"10.0.0.300\"]\nports = [1]\n"
                "spiffe_ids = [\"spiffe://shop.example/a\"]\n"));
  ASSERT_EQ(problems.size(), 1U);
  EXPECT_THAT(problems[0].message, HasSubstr("no address"));
}

TEST(ParseConfig, UpstreamWithoutIdentitiesIsRefused) {
  EXPECT_EQ(only_problem(
                host_with("[[upstream]]\nname = \"a\"\naddresses = [\"10.0.0.3\"]\nports = [1]\n")),
            "agent.toml:3:1: [[upstream]] lacks spiffe_ids (spiffe_ids: Who may answer)");
  EXPECT_EQ(
      only_problem(host_with("[[upstream]]\nname = \"a\"\naddresses = [\"10.0.0.3\"]\nports = [1]\n"
                             "spiffe_ids = []\n")),
      "agent.toml:7:14: spiffe_ids is an empty list (name at least one)");
}

TEST(ParseConfig, TrustDomainIsRequired) {
  EXPECT_EQ(only_problem(""),
            "agent.toml:1:1: [host] lacks trust_domain (trust_domain: The SPIFFE trust domain that "
            "this host belongs to)");
}

TEST(ParseConfig, TrustDomainWithSchemeGetsAHint) {
  EXPECT_EQ(
      only_problem("[host]\ntrust_domain = \"spiffe://shop.example\"\n"),
      R"(agent.toml:2:16: trust_domain is "spiffe://shop.example", which is no trust domain (write the domain alone, without spiffe://))");
}

TEST(ParseConfig, ReportsAllProblemsInTheOrderOfTheText) {
  const auto problems = problems_of(host_with("[limits]\nwokers = 2\nhandshakes = 0\n[tsl]\n"));
  ASSERT_EQ(problems.size(), 3U);
  EXPECT_EQ(problems[0].path, "agent.toml:4:1");
  EXPECT_EQ(problems[1].path, "agent.toml:5:14");
  EXPECT_EQ(problems[2].path, "agent.toml:6:2");
}

TEST(ParseConfig, CountsProblemsBeyondFifty) {
  std::string text = host_with("[limits]\n");
  for (int i = 0; i < 60; ++i)
    text += fmt::format("unknown{} = 1\n", i);
  const auto problems = problems_of(text);
  ASSERT_EQ(problems.size(), 51U);
  EXPECT_EQ(describe(problems.back()), "agent.toml: 10 more problems are not shown");
}

TEST(ParseConfig, ProblemsOfTwoFilesAreBothReported) {
  const auto problems = problems_of({{"agent.toml", "[host\n"}, {"conf.d/a.toml", "[lgo]\n"}});
  ASSERT_EQ(problems.size(), 2U);
  EXPECT_THAT(problems[0].path, HasSubstr("agent.toml:1:"));
  EXPECT_EQ(problems[1].path, "conf.d/a.toml:1:2");
}

TEST(ParseConfig, DeepNestingIsRefusedWithoutRecursion) {
  std::string dotted = "a";
  for (int i = 0; i < 200'000; ++i)
    dotted += ".a";
  EXPECT_EQ(only_problem(dotted + " = 1\n"), "agent.toml:1:1: too many dotted keys");
  EXPECT_EQ(problems_of("x = " + std::string(5000, '[')).size(), 1U);
}

TEST(ParseConfig, DotsInStringsAndCommentsAreFree) {
  std::string text = host_with(
      "[[upstream]]\nname = \"a\"\nports = [1]\nspiffe_ids = "
      "['spiffe://shop.example/a']\naddresses = [");
  for (int i = 0; i < 500; ++i)
    text += fmt::format("\"10.0.{}.{}\", ", i / 250, i % 250);
  text += "] # " + std::string(2000, '.') + "\n";
  EXPECT_EQ(config_of(text).upstreams.at(0).addresses.size(), 500U);
}

TEST(ParseConfig, CharactersBeyondAsciiStandInCommentsAndStringsOnly) {
  EXPECT_THAT(only_problem("# f\u00fc\u00df\n\u00e9 = 1\n"),
              HasSubstr("agent.toml:2:1: a character outside of ASCII"));
  EXPECT_THAT(only_problem("a = ['x', \"\u00e9\", \u00e9]\n"),
              HasSubstr("agent.toml:1:16: a character"));
  EXPECT_THAT(only_problem("a = \"\"\"x\"\"\"\"\u00e9\n"),
              HasSubstr("agent.toml:1:13: a character"));
  const auto config = config_of(
      host_with("[[upstream]] # \u00e9\nname = \"a\"\naddresses = ['10.0.0.1']\nports = [1]\n"
                "spiffe_ids = [\"spiffe://shop.example/a\"]\n[log]\nfile = \"/\u00e9\"\n"));
  EXPECT_EQ(config.logging.file, "/\u00e9");
}

TEST(ParseConfig, PeerTextInMessagesIsEscaped) {
  EXPECT_THAT(only_problem(host_with("[log]\nlevel = \"\\u001b[31mred\"\n")),
              HasSubstr("\\x1b[31mred"));
}

}  // namespace
}  // namespace mooring::config
