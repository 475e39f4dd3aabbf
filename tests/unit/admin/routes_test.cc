#include "admin/routes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace mooring::admin {
namespace {

using http::Method;
using ::testing::HasSubstr;

constexpr Client kRoot{.over_socket = true, .is_privileged = true};
constexpr Client kReader{.over_socket = true, .is_privileged = false};
constexpr Client kScraper{.over_socket = false, .is_privileged = false};
constexpr Client kControlPlane{.is_control_plane = true};

http::Request request(Method method, std::string path, std::string query = "") {
  return {.method = method, .path = std::move(path), .query = std::move(query)};
}

Handlers full_handlers() {
  return {
      .ready = [] { return Readiness{true, ""}; },
      .metrics = [] { return std::string("up 1\n"); },
      .config_dump = [] { return std::string("{\"dump\":1}"); },
      .clusters = [] { return std::string("[]"); },
      .status = [] { return std::string("{}"); },
      .why = [](std::size_t limit) { return limit == 3 ? std::string("[3]") : std::string("[]"); },
      .why_text = [](std::size_t) { return std::string("because\n"); },
      .drain = [] { return json_response("{}"); },
      .reload = [] { return refuse(422, "no"); },
      .set_log_level = [](log::Level level) { return json_response(log::to_string(level)); }};
}

int status(Method method,
           const std::string& path,
           const Client& client,
           const std::string& query = "") {
  return answer(full_handlers(), request(method, path, query), client).status;
}

TEST(AdminRoutes, AnswerTheirHandlers) {
  EXPECT_EQ(answer(full_handlers(), request(Method::get, "/ready"), kScraper).body, "LIVE\n");
  EXPECT_EQ(answer(full_handlers(), request(Method::get, "/metrics"), kScraper).body, "up 1\n");
  EXPECT_THAT(
      answer(full_handlers(), request(Method::get, "/stats/prometheus"), kScraper).content_type,
      HasSubstr("version=0.0.4"));
  EXPECT_EQ(answer(full_handlers(), request(Method::head, "/config_dump"), kReader).content_type,
            "application/json");
  EXPECT_EQ(answer(full_handlers(), request(Method::get, "/why", "limit=3"), kReader).body, "[3]");
  EXPECT_EQ(answer(full_handlers(), request(Method::get, "/why", "format=text"), kReader).body,
            "because\n");
  EXPECT_EQ(answer(full_handlers(), request(Method::post, "/logging", "level=debug"), kRoot).body,
            "debug");
  EXPECT_EQ(status(Method::post, "/reload", kRoot), 422);
}

TEST(AdminRoutes, SayWhyTheAgentIsNotReady) {
  Handlers handlers = full_handlers();
  handlers.ready = [] { return Readiness{false, "no certificate yet"}; };
  const http::Response response = answer(handlers, request(Method::get, "/ready"), kScraper);
  EXPECT_EQ(response.status, 503);
  EXPECT_EQ(response.body, "no certificate yet\n");
}

TEST(AdminRoutes, LetOnlyThePrivilegedChangeSomething) {
  for (const char* path : {"/drain", "/reload", "/logging"}) {
    EXPECT_EQ(status(Method::post, path, kReader, "level=info&state=on"), 403) << path;
    EXPECT_NE(status(Method::post, path, kRoot, "level=info&state=on"), 403) << path;
    EXPECT_EQ(status(Method::get, path, kRoot), 405) << path;
  }
}

TEST(AdminRoutes, ShowTheMetricsAddressNothingElse) {
  for (const char* path : {"/config_dump", "/clusters", "/status", "/why"}) {
    EXPECT_EQ(status(Method::get, path, kScraper), 404) << path;
    EXPECT_EQ(status(Method::get, path, kReader), 200) << path;
  }
  EXPECT_EQ(status(Method::post, "/drain", kScraper), 404);
  // Even a client that claims privilege has none there.
  EXPECT_EQ(status(Method::post, "/drain", {.over_socket = false, .is_privileged = true}), 404);
}

TEST(AdminRoutes, RefuseWhatTheyDoNotKnow) {
  EXPECT_EQ(status(Method::get, "/", kRoot), 404);
  EXPECT_EQ(status(Method::get, "/ready/", kRoot), 404);
  EXPECT_EQ(status(Method::post, "/ready", kRoot), 405);
  EXPECT_EQ(status(Method::post, "/logging", kRoot, "level=loud"), 400);
  EXPECT_EQ(status(Method::post, "/logging", kRoot), 400);
  EXPECT_EQ(status(Method::get, "/why", kRoot, "limit=-1"), 400);
  EXPECT_EQ(status(Method::get, "/why", kRoot, "limit=99999999999999999999"), 400);
}

TEST(AdminRoutes, SayThatAHandlerIsMissing) {
  for (const char* path : {"/ready", "/metrics", "/config_dump", "/clusters", "/status", "/why"}) {
    EXPECT_EQ(answer({}, request(Method::get, path), kRoot).status, 501) << path;
  }
  for (const char* path : {"/drain", "/reload", "/logging"}) {
    EXPECT_EQ(answer({}, request(Method::post, path, "level=info&state=on"), kRoot).status, 501)
        << path;
  }
}

TEST(AdminRoutes, RefuseInJsonWhateverTheTextHolds) {
  const auto json = nlohmann::json::parse(refuse(400, "bad \"thing\" \xff").body);
  EXPECT_THAT(json["error"].get<std::string>(), HasSubstr("bad \"thing\""));
}

TEST(Answer, AControlPlaneGetsEnvoysFormsAndNothingElse) {
  Handlers handlers = full_handlers();
  handlers.envoy_config_dump = [] { return std::string("dump"); };
  const auto named = [](const std::string& page) {
    return [page](TextForm form) { return page + (form == TextForm::json ? ".json" : ".lines"); };
  };
  handlers.envoy_clusters = named("clusters");
  handlers.envoy_stats = named("stats");
  const auto body = [&](const char* path) {
    return answer(handlers, request(Method::get, path), kControlPlane).body;
  };
  EXPECT_EQ(body("/config_dump"), "dump");
  for (const std::string page : {"clusters", "stats"}) {
    EXPECT_EQ(body(("/" + page).c_str()), page + ".lines");
    const http::Request for_json = request(Method::get, "/" + page, "format=json");
    EXPECT_EQ(answer(handlers, for_json, kControlPlane).body, page + ".json");
  }
  EXPECT_EQ(status(Method::get, "/ready", kControlPlane), 200);
  for (const char* path : {"/status", "/why"})
    EXPECT_EQ(status(Method::get, path, kControlPlane), 404) << path;
  for (const char* path : {"/drain", "/reload", "/canary"})
    EXPECT_EQ(status(Method::post, path, kControlPlane), 404) << path;
  EXPECT_EQ(answer(handlers, request(Method::get, "/stats"), kRoot).status, 404);
}

}  // namespace
}  // namespace mooring::admin
