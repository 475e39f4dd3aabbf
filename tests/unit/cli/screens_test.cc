#include "cli/screens.h"

#include <gmock/gmock.h>

#include "core/file.h"

namespace mooring::cli {
namespace {

constexpr std::size_t kMaxDocumentBytes = 1 << 20;

using nlohmann::json;
using ::testing::HasSubstr;
using ::testing::Not;

std::string golden(const std::string& name) {
  const auto text =
      read_file(std::string(MOORING_SOURCE_DIR "/tests/golden/") + name, kMaxDocumentBytes);
  EXPECT_TRUE(text) << name;
  return text.value_or("");
}

/// The example that docs/status-json.md gives for a path: the first JSON block after its title.
json documented(std::string_view title) {
  const auto document = read_file(MOORING_SOURCE_DIR "/docs/status-json.md", kMaxDocumentBytes);
  EXPECT_TRUE(document);
  constexpr std::string_view kFence = "```json\n";
  const std::size_t begin = document->find(kFence, document->find(title)) + kFence.size();
  return json::parse(document->substr(begin, document->find("```", begin) - begin), nullptr, false);
}

json status() {
  return documented("## GET /status");
}

TEST(StatusScreen, ShowsTheDocumentedExampleOnOneScreen) {
  const std::string screen = render_status(status(), false);
  EXPECT_EQ(screen, golden("cli_status.txt"));
  EXPECT_LE(std::count(screen.begin(), screen.end(), '\n'), 24);
}

/// As a host that has joined a mesh answers.
json joined_status() {
  json joined = status();
  joined["control_plane"] = documented("`control_plane` is `null` on a host");
  joined["identity"]["source"] = "";
  joined["identity"]["key"] = "control plane";
  joined["identity"]["renews_at"] = "2026-11-24T22:00:00Z";
  return joined;
}

TEST(StatusScreen, ShowsTheControlPlane) {
  EXPECT_EQ(render_status(joined_status(), false), golden("cli_status_joined.txt"));
}

TEST(StatusScreen, SaysWhyThereIsNoControlPlane) {
  json away = joined_status();
  away["control_plane"]["state"] = "waiting";
  away["control_plane"]["from_disk"] = true;
  away["control_plane"]["last_error"] = "the token has expired";
  away["control_plane"]["remedy"] = "make a new one";
  const std::string screen = render_status(away, false);
  EXPECT_THAT(screen, HasSubstr("Control     waiting for 3m 0s: https://cp.example:5678"));
  EXPECT_THAT(screen, HasSubstr("kept from 40s ago"));
  EXPECT_THAT(screen, HasSubstr("            the token has expired (make a new one)\n"));
}

TEST(UpdateText, NamesWhatTheLastUpdateTouched) {
  json plane = joined_status()["control_plane"];
  EXPECT_EQ(render_update(plane),
            "At 2026-11-24T02:59:20Z the control plane sent:\n"
            "  changed  endpoints  kri_msvc_default_zone1__shop-db_main\n");
  plane["last_update"]["changes"] =
      json::parse(R"([{"type":"listeners","added":["a","b\u001b"],"changed":[],"removed":["c"]}])");
  EXPECT_EQ(render_update(plane),
            "At 2026-11-24T02:59:20Z the control plane sent:\n"
            "  added    listeners  a\n  added    listeners  b?\n  removed  listeners  c\n");
  plane["last_update"] = nullptr;
  EXPECT_EQ(render_update(plane), "The control plane has sent nothing yet.\n");
  EXPECT_EQ(render_update(nullptr), "This host has joined no control plane.\n");
}

TEST(StatusScreen, NamesTheInstalledVersionWhereAnotherOneRuns) {
  json upgraded = status();
  upgraded["host"]["version"] = "0.0.9";
  upgraded["host"]["replaced"] = true;
  EXPECT_THAT(render_status(upgraded, false),
              ::testing::HasSubstr("mooring 0.0.9 (installed: " MOORING_VERSION "), up"));
}

TEST(StatusScreen, ShowsAHostInTrouble) {
  json trouble = status();
  trouble["ready"] = false;
  trouble["identity"]["expires_in_s"] = -90;
  trouble["capture"]["state"] = "gave_up";
  trouble["capture"]["problem"] = "firewalld removed the rules five times in a minute";
  trouble["services"][0]["state"] = "no_identity";
  trouble["upstreams"][0]["endpoints"][0]["state"] = "ejected";
  trouble["upstreams"][0]["endpoints"].push_back(
      {{"address", "[fd00::2]:5432"}, {"state", "healthy"}, {"connections", 3}});
  trouble["upstreams"].push_back({{"name", "ldap"},
                                  {"addresses", {"10.1.0.0/24", "ldap.example"}},
                                  {"ports", {389, 636}},
                                  {"endpoints", json::array()}});
  trouble["problems"].push_back({{"severity", "error"}, {"text", "the certificate has expired"}});
  trouble["config"]["last_error"] =
      "agent.toml:4:1: unknown key \"wokers\"\nagent.toml:9:1: port 22 is never captured";
  EXPECT_EQ(render_status(trouble, false), golden("cli_status_trouble.txt"));
}

TEST(StatusScreen, ShowsAHostThatHasNothingYet) {
  json fresh = status();
  fresh["ready"] = false;
  fresh["identity"] = nullptr;
  fresh["capture"] = {{"state", "off"},
                      {"backend", ""},
                      {"outbound", 0},
                      {"inbound", 0},
                      {"problem", ""},
                      {"on_agent_death", status()["capture"]["on_agent_death"]}};
  fresh["services"] = fresh["upstreams"] = fresh["problems"] = json::array();
  EXPECT_EQ(render_status(fresh, false), golden("cli_status_fresh.txt"));
}

TEST(StatusScreen, ColoursStatesOnATerminal) {
  EXPECT_THAT(render_status(status(), true), HasSubstr("\x1b[32mready\x1b[0m"));
  EXPECT_THAT(render_status(status(), false), Not(HasSubstr("\x1b")));
}

TEST(StatusScreen, NamesCannotSteerTheTerminal) {
  json hostile = status();
  hostile["services"][0]["name"] = "\x1b]0;owned\x07";
  hostile["config"]["last_error"] = "a\x1b[2Jb";
  EXPECT_THAT(render_status(hostile, false), Not(HasSubstr("\x1b")));
}

TEST(StatusScreen, AnswersOfAnyShapeAreSurvived) {
  for (const char* text :
       {"{}",
        R"({"services": 7, "host": [], "identity": {}, "upstreams": [null, 3, {"addresses": 1}]})",
        R"({"problems": [[]], "config": {"last_error": 5}, "services": [{"port": "x"}]})"}) {
    EXPECT_THAT(render_status(json::parse(text), false), HasSubstr("not ready"));
  }
}

TEST(WhyScreen, ShowsTheDocumentedExample) {
  EXPECT_EQ(render_why(documented("## GET /why"), false), golden("cli_why.txt"));
}

TEST(WhyScreen, SaysSoWhereNothingWentWrong) {
  EXPECT_EQ(render_why(json::array(), false),
            "No connection was refused or broken since the agent started.\n");
}

}  // namespace
}  // namespace mooring::cli
