#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "app/reports.h"
#include "snapshot/build.h"
#include "snapshot/from_config.h"
#include "support.h"

namespace mooring::app {
namespace {

using Json = nlohmann::json;
using std::chrono::seconds;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;

const WallTime kNow{seconds(1'790'000'000)};

config::AgentConfig joined() {
  auto parsed = config::parse({{"agent.toml",
                                "[host]\nname = \"web-1\"\n[control_plane]\nname = \"web-1\"\n"
                                "addresses = [\"https://cp.test\"]\n"
                                "ca_file = \"/ca\"\ntoken_file = \"/token\"\n"}});
  return parsed ? *parsed : config::AgentConfig{};
}

ControlPlaneState live() {
  ControlPlaneState state;
  state.phase = ControlPlaneState::Phase::live;
  state.address = "https://cp.test:5678";
  state.since = kNow - seconds(90);
  state.received_at = kNow - seconds(30);
  state.resources = {{"listeners", 3, 4, 1}, {"clusters", 2, 2, 0}};
  return state;
}

struct Site {
  explicit Site(std::optional<ControlPlaneState> state) : plane(std::move(state)) {
    snapshot = snapshot::build(snapshot::resources_from(config, names), nullptr).snapshot;
  }
  [[nodiscard]] Report report() const {
    return {.ready = true,
            .is_replaced = false,
            .now = kNow,
            .started = kNow - seconds(100),
            .config = config,
            .config_state = config_state,
            .snapshot = *snapshot,
            .names = names,
            .rejected = rejected,
            .identity_problem = identity_problem,
            .control_plane = plane,
            .stats = stats,
            .capture = {},
            .endpoint = [](const std::string&, const SocketAddress&) { return EndpointReport{}; }};
  }
  [[nodiscard]] Json control_plane() const {
    return Json::parse(status_json(report())).at("control_plane");
  }
  [[nodiscard]] std::vector<std::string> problem_texts() const {
    std::vector<std::string> texts;
    for (const Problem& problem : problems(report()))
      texts.push_back((problem.is_error ? "error: " : "warning: ") + problem.text);
    return texts;
  }

  config::AgentConfig config = joined();
  ConfigState config_state;
  snapshot::ResolvedNames names;
  snapshot::SnapshotPtr snapshot;
  std::vector<snapshot::Rejected> rejected;
  std::string identity_problem;
  observe::StatsRegistry stats{1};
  std::optional<ControlPlaneState> plane;
};

TEST(ControlPlaneJson, SaysWhereTheStreamStandsAndWhatItBrought) {
  const Json json = Site(live()).control_plane();
  EXPECT_EQ(json.at("state"), "live");
  EXPECT_EQ(json.at("address"), "https://cp.test:5678");
  EXPECT_EQ(json.at("mesh"), "default");
  EXPECT_EQ(json.at("dataplane"), "web-1");
  EXPECT_EQ(json.at("since_s"), 90);
  EXPECT_EQ(json.at("received_s"), 30);
  EXPECT_EQ(json.at("last_error"), "");
  EXPECT_EQ(json.at("last_update"), nullptr);
  EXPECT_EQ(json.at("resources"),
            Json::parse(R"([{"type":"listeners","served":3,"accepted":4,"rejected":1},)"
                        R"({"type":"clusters","served":2,"accepted":2,"rejected":0}])"));
}

TEST(ControlPlaneJson, IsNullWithoutOne) {
  EXPECT_EQ(Site(std::nullopt).control_plane(), nullptr);
}

TEST(ControlPlaneJson, ExplainsWhyThereIsNoStream) {
  ControlPlaneState state = live();
  state.phase = ControlPlaneState::Phase::waiting;
  state.last_error = "the token has expired";
  state.remedy = "make a new one with kumactl";
  const Site site(state);
  EXPECT_EQ(site.control_plane().at("state"), "waiting");
  EXPECT_EQ(site.control_plane().at("last_error"), "the token has expired");
  EXPECT_THAT(site.control_plane().at("remedy").get<std::string>(), HasSubstr("kumactl"));
  EXPECT_THAT(site.problem_texts(),
              Contains(HasSubstr("error: control plane https://cp.test:5678: the token has "
                                 "expired (make a new one with kumactl)")));
}

TEST(ControlPlaneJson, AnErrorOfThePastIsNoProblem) {
  ControlPlaneState state = live();
  state.last_error = "connection lost";
  EXPECT_THAT(Site(state).problem_texts(), Not(Contains(HasSubstr("connection lost"))));
}

TEST(ControlPlaneJson, NamesWhatWasRejectedWithAPeersTextMadeSafe) {
  ControlPlaneState state = live();
  state.rejected = {{"listener", "kri_a\x1b[31m", "filter", "is not understood", false},
                    {"cluster", "kri_b", "lb", "is unknown", true}};
  state.beyond_bounds = {"port 22"};
  const Site site(state);
  const Json json = site.control_plane();
  EXPECT_EQ(json.at("rejected_count"), 2);
  EXPECT_EQ(json.at("rejected").at(0).at("name"), "kri_a\\x1b[31m");
  EXPECT_EQ(json.at("rejected").at(1).at("last_good"), true);
  EXPECT_THAT(site.problem_texts(),
              Contains(HasSubstr("error: listener kri_a\\x1b[31m: filter: is not understood; its "
                                 "addresses are refused")));
  EXPECT_THAT(site.problem_texts(),
              Contains("warning: cluster kri_b: lb: is unknown; its last good version is served"));
  EXPECT_THAT(site.problem_texts(), Contains(HasSubstr("wants port 22 captured")));
}

TEST(ControlPlaneJson, TellsOfTheServersOfSecretsBesideIt) {
  ControlPlaneState state = live();
  SecretServer server{"spire", "/run/spire.sock", false, "there is no socket", "start it", {}};
  server.secrets = {{"spiffe://mesh/web", kNow - seconds(70), "", ""},
                    {"ALL", std::nullopt, "refuses: not you", "register it"}};
  state.secret_servers = {server};
  const Site site(state);
  const Json json = site.control_plane().at("secret_servers").at(0);
  EXPECT_EQ(json.at("state"), "waiting");
  EXPECT_EQ(json.at("path"), "/run/spire.sock");
  EXPECT_EQ(json.at("secrets").at(0).at("received_s"), 70);
  EXPECT_EQ(json.at("secrets").at(1).at("received_at"), "");
  EXPECT_EQ(json.at("secrets").at(1).at("last_error"), "refuses: not you");
  EXPECT_THAT(site.problem_texts(),
              Contains("error: secrets of spire: there is no socket (start it)"));
  EXPECT_THAT(site.problem_texts(),
              Contains("error: secret ALL of spire: the server refuses: not you (register it)"));
}

TEST(ControlPlaneJson, ThousandsOfNamesAreCut) {
  ControlPlaneState state = live();
  state.rejected.assign(5000, {"listener", "a", "f", "r", true});
  state.last_update =
      LastUpdate{kNow, {{"clusters", std::vector<std::string>(5000, "c"), {}, {"gone"}}}};
  const Site site(state);
  EXPECT_EQ(site.control_plane().at("rejected").size(), 100U);
  EXPECT_EQ(site.control_plane().at("rejected_count"), 5000);
  const Json change = site.control_plane().at("last_update").at("changes").at(0);
  EXPECT_EQ(change.at("added").size(), 100U);
  EXPECT_EQ(change.at("removed"), Json::array({"gone"}));
  EXPECT_LT(site.problem_texts().size(), 40U);
}

TEST(ControlPlaneJson, LastGoodResourcesHaveTheirAge) {
  ControlPlaneState state = live();
  state.phase = ControlPlaneState::Phase::connecting;
  state.is_from_disk = true;
  state.received_at = kNow - std::chrono::minutes(125);
  const Site site(state);
  EXPECT_EQ(site.control_plane().at("from_disk"), true);
  EXPECT_THAT(site.problem_texts(), Contains(HasSubstr("received 125 minutes ago")));
  EXPECT_THAT(site.problem_texts(), Contains(HasSubstr("no identity from the control plane yet")));
  EXPECT_THAT(site.problem_texts(), Not(Contains(HasSubstr("[identity] is not configured"))));
}

TEST(ControlPlaneJson, APlainXdsServerNeedNotNameAnIdentity) {
  Site site(live());
  auto parsed = config::parse({{"agent.toml", "[control_plane]\nbootstrap = \"/xds.yaml\"\n"}});
  ASSERT_TRUE(parsed);
  site.config = *parsed;
  EXPECT_THAT(site.problem_texts(), Not(Contains(HasSubstr("identity"))));
}

snapshot::Listener listener(std::string name, snapshot::Direction direction, const char* match) {
  snapshot::Listener is;
  is.name = std::move(name);
  is.direction = direction;
  const auto address = parse_socket_address(match);
  is.match = {{{address->ip, 32}, address->port}};
  is.chains.emplace_back().clusters = {{is.name, 1}};
  return is;
}

snapshot::Cluster cluster(std::string name, std::vector<const char*> addresses) {
  snapshot::Cluster is;
  is.name = std::move(name);
  auto& locality = is.endpoints.localities.emplace_back();
  for (const char* address : addresses)
    locality.endpoints.emplace_back().address = *parse_socket_address(address);
  return is;
}

/// What a control plane names for a host that serves two ports and calls one service.
snapshot::Resources meshed() {
  using snapshot::Direction;
  snapshot::Resources resources;
  resources.listeners = {
      listener("self_inbound_dp_db", Direction::inbound, "10.0.0.5:5432"),
      listener("self_inbound_dp_http", Direction::inbound, "10.0.0.5:8080"),
      listener("kri_msvc_default_zone1__web_http", Direction::outbound, "241.0.0.3:80"),
      listener("self_transparentproxy_passthrough", Direction::outbound, "10.0.0.5:1")};
  resources.listeners[1].chains[0].not_served = "HTTP";
  resources.listeners[1].chains[0].clusters.clear();
  resources.listeners[3].match = {{{IpAddress(), 0}, 0}};
  resources.clusters = {cluster("self_inbound_dp_db", {"127.0.0.1:5432"}),
                        cluster("kri_msvc_default_zone1__web_http", {"10.0.0.7:80", "10.0.0.8:80"}),
                        cluster("self_transparentproxy_passthrough", {})};
  return resources;
}

TEST(MeshStatus, ListsWhatTheControlPlaneNamed) {
  Site site(live());
  site.snapshot = snapshot::build(meshed(), nullptr).snapshot;
  const Json status = Json::parse(status_json(site.report()));
  ASSERT_EQ(status.at("services").size(), 2U);
  const Json& db = status.at("services").at(0);
  EXPECT_EQ(db.at("name"), "self_inbound_dp_db");
  EXPECT_EQ(db.at("port"), 5432);
  EXPECT_EQ(db.at("mode"), "plain");
  EXPECT_EQ(db.at("target"), "127.0.0.1:5432");
  EXPECT_EQ(db.at("state"), "not_captured");
  EXPECT_EQ(status.at("services").at(1).at("state"), "not_served");
  ASSERT_EQ(status.at("upstreams").size(), 1U);
  const Json& web = status.at("upstreams").at(0);
  EXPECT_EQ(web.at("addresses"), Json::array({"241.0.0.3/32"}));
  EXPECT_EQ(web.at("ports"), Json::array({80}));
  ASSERT_EQ(web.at("endpoints").size(), 2U);
  EXPECT_EQ(web.at("endpoints").at(1).at("address"), "10.0.0.8:80");
  EXPECT_EQ(web.at("endpoints").at(1).at("state"), "healthy");
}

}  // namespace
}  // namespace mooring::app
