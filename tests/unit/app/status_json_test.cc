#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "app/reports.h"
#include "snapshot/from_config.h"
#include "support.h"
#include "support/pki.h"

namespace mooring::app {
namespace {

using Json = nlohmann::json;
using std::chrono::hours;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr std::string_view kIdentity = R"(
[identity]
svid = "/etc/svid.pem"
key = "/etc/key.pem"
bundle = "/etc/bundle.pem"
)";
constexpr std::string_view kService = R"(
[[service]]
name = "shop"
port = 8080
allow = ["spiffe://shop.test/web"]
)";
constexpr std::string_view kUpstream = R"(
[[upstream]]
name = "db"
addresses = ["10.0.0.3"]
ports = [5432]
spiffe_ids = ["spiffe://shop.test/db"]
endpoints = ["10.0.0.7:5432", "db.test:5432"]
)";

/// Everything a report refers to.
struct Site {
  explicit Site(const std::string& text, const identity::MaterialText& identity = {})
      : config(config_of(text, "name = \"web-1\"")) {
    snapshot::Resources resources = snapshot::resources_from(config, names);
    if (!identity.svid_pem.empty()) resources.secrets = snapshot::secrets_from(identity);
    snapshot = snapshot::build(resources, nullptr).snapshot;
    state.path = "/etc/mooring/agent.toml";
    capture.state = "active";
  }

  [[nodiscard]] Report report() const {
    return {.ready = true,
            .is_replaced = is_replaced,
            .now = now,
            .started = now - hours(1),
            .config = config,
            .config_state = state,
            .snapshot = *snapshot,
            .names = names,
            .rejected = rejected,
            .identity_problem = identity_problem,
            .stats = stats,
            .capture = capture,
            .endpoint = [this](const std::string&, const SocketAddress& address) {
              return EndpointReport{3, address == ejected, address == unhealthy};
            }};
  }
  [[nodiscard]] Json status() const { return Json::parse(status_json(report())); }
  [[nodiscard]] std::vector<std::string> problem_texts() const {
    std::vector<std::string> texts;
    for (const Problem& problem : problems(report()))
      texts.push_back((problem.is_error ? "error: " : "warning: ") + problem.text);
    return texts;
  }

  bool is_replaced = false;
  WallTime now = Clock().wall();
  config::AgentConfig config;
  ConfigState state;
  snapshot::ResolvedNames names;
  snapshot::SnapshotPtr snapshot;
  std::vector<snapshot::Rejected> rejected;
  std::string identity_problem;
  observe::StatsRegistry stats{2};
  CaptureState capture;
  SocketAddress ejected;
  SocketAddress unhealthy;
};

std::string whole() {
  return std::string(kIdentity) + std::string(kService) + std::string(kUpstream);
}

identity::MaterialText material(const test::CertOptions& options = {}) {
  return test::TestCa("shop.test").text("spiffe://shop.test/web-1", options);
}

TEST(StatusJson, SaysThatAnUpgradeWaitsForARestart) {
  Site site(whole(), material());
  EXPECT_EQ(site.status()["host"]["replaced"], false);
  site.is_replaced = true;
  EXPECT_EQ(site.status()["host"]["replaced"], true);
  EXPECT_THAT(site.problem_texts(), Contains(HasSubstr("warning: the package was upgraded")));
}

TEST(StatusJson, HasEveryKeyOfItsDescription) {
  const Json status = Site(whole(), material()).status();
  EXPECT_EQ(status["ready"], true);
  EXPECT_EQ(status["host"]["name"], "web-1");
  EXPECT_EQ(status["host"]["uptime_s"], 3600);
  EXPECT_EQ(status["host"]["workers"], 2);
  EXPECT_EQ(status["identity"]["spiffe_id"], "spiffe://shop.test/web-1");
  EXPECT_EQ(status["identity"]["issuer"], "CN=root of shop.test");
  EXPECT_EQ(status["identity"]["source"], "/etc/svid.pem");
  for (const char* key :
       {"state", "backend", "outbound", "inbound", "on_agent_death", "repairs", "problem"})
    EXPECT_TRUE(status["capture"].contains(key)) << key;
  for (const char* key : {"name",
                          "port",
                          "mode",
                          "target",
                          "listen",
                          "state",
                          "connections",
                          "accepted",
                          "denied",
                          "shadow_denied",
                          "failed"})
    EXPECT_TRUE(status["services"][0].contains(key)) << key;
  for (const char* key :
       {"name", "addresses", "ports", "endpoints", "connections", "opened", "failures"})
    EXPECT_TRUE(status["upstreams"][0].contains(key)) << key;
  EXPECT_EQ(status["config"]["path"], "/etc/mooring/agent.toml");
}

TEST(StatusJson, HasNullForAHostWithoutIdentity) {
  const Site site{std::string(kService)};
  EXPECT_TRUE(site.status()["identity"].is_null());
  EXPECT_EQ(site.status()["services"][0]["state"], "no_identity");
  EXPECT_THAT(site.problem_texts(),
              Contains("error: this host has no identity: [identity] is not configured"));
}

TEST(StatusJson, TellsEndpointsThatAreEjectedOrHaveNoAddress) {
  Site site(whole(), material());
  site.ejected = {*parse_ip("10.0.0.7"), 5432};
  const Json endpoints = site.status()["upstreams"][0]["endpoints"];
  EXPECT_EQ(endpoints[0]["state"], "ejected");
  EXPECT_EQ(endpoints[0]["connections"], 3);
  EXPECT_EQ(endpoints[1]["address"], "db.test:5432");
  EXPECT_EQ(endpoints[1]["state"], "unresolved");
  EXPECT_THAT(site.problem_texts(), Contains("error: host name db.test has no address"));
}

TEST(StatusJson, ServiceStateFollowsCaptureAndTheApplication) {
  Site site(whole(), material());
  EXPECT_EQ(site.status()["services"][0]["state"], "ready");
  site.stats.cluster("localhost_shop", 0).last_connect_ms.set(1000);
  site.stats.cluster("localhost_shop", 1).last_connect_fail_ms.set(1001);
  EXPECT_EQ(site.status()["services"][0]["state"], "failed");
  EXPECT_THAT(
      site.problem_texts(),
      Contains("error: service shop: the application does not accept connections on port 8080"));
  site.stats.cluster("localhost_shop", 0).last_connect_ms.set(1001);
  EXPECT_EQ(site.status()["services"][0]["state"], "ready") << "the newest counts";
  site.capture.state = "off";
  EXPECT_EQ(site.status()["services"][0]["state"], "not_captured");
}

TEST(StatusJson, CountsOverAllWorkers) {
  Site site(whole(), material());
  for (const std::size_t worker : {0U, 1U}) {
    observe::ListenerStats& block = site.stats.listener({"inbound_shop", "0.0.0.0_8080"}, worker);
    block.rbac_allowed.add(3);
    block.rbac_denied.add();
    block.closed[static_cast<std::size_t>(observe::CloseReason::handshake_failed)].add();
    site.stats.cluster("db", worker).upstream_cx_connect_fail.add(2);
  }
  const Json status = site.status();
  EXPECT_EQ(status["services"][0]["accepted"], 6);
  EXPECT_EQ(status["services"][0]["denied"], 2);
  EXPECT_EQ(status["services"][0]["failed"], 2);
  EXPECT_EQ(status["upstreams"][0]["failures"], 4);
}

TEST(Problems, NoneOnASoundHost) {
  EXPECT_THAT(Site(std::string(kIdentity) + std::string(kService), material()).problem_texts(),
              IsEmpty());
}

TEST(Problems, OfTheCertificate) {
  test::CertOptions options;
  options.not_before = Clock().wall() - hours(48);
  options.not_after = Clock().wall() - hours(1);
  EXPECT_THAT(Site(std::string(kIdentity), material(options)).problem_texts(),
              Contains("error: the certificate of spiffe://shop.test/web-1 has expired"));
  options.not_after = Clock().wall() + hours(1);
  EXPECT_THAT(
      Site(std::string(kIdentity), material(options)).problem_texts(),
      Contains(HasSubstr("warning: the certificate of spiffe://shop.test/web-1 expires in")));
  options.not_before = Clock().wall() + std::chrono::minutes(30);
  EXPECT_THAT(Site(std::string(kIdentity), material(options)).problem_texts(),
              Contains(HasSubstr("is not yet valid; is the clock right?")));
}

TEST(Problems, NameWhatWasRefusedAndWhatIsMissing) {
  Site site(std::string(kIdentity) + R"(
[[service]]
name = "shop"
port = 8080
allow = ["spiffe://partner.test/web"]
)",
            material());
  site.state.last_error = "agent.toml:1:1: no";
  site.capture.problem = "mooring-net is away";
  site.identity_problem = "svid.pem: broken";
  site.rejected = {{"service shop", "port", "is odd"}};
  const auto texts = site.problem_texts();
  for (const char* expected :
       {"error: the newest configuration was refused: agent.toml:1:1: no",
        "error: identity not replaced: svid.pem: broken",
        "error: capture: mooring-net is away",
        "error: service shop: port: is odd",
        "warning: service shop: there is no bundle for trust domain partner.test"})
    EXPECT_THAT(texts, Contains(expected));
}

TEST(ConfigDump, HasNoSecret) {
  const std::string dump = config_dump_json(Site(whole(), material()).report());
  EXPECT_TRUE(Json::accept(dump));
  EXPECT_THAT(dump, Not(HasSubstr("PRIVATE")));
  EXPECT_THAT(dump, HasSubstr("/etc/svid.pem"));
}

TEST(Clusters, AreListed) {
  const std::string text = clusters_json(Site(whole(), material()).report());
  EXPECT_TRUE(Json::accept(text));
  EXPECT_THAT(text, HasSubstr("10.0.0.7:5432"));
}

}  // namespace
}  // namespace mooring::app
