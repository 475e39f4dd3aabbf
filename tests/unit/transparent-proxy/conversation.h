// The helper's server, with rules that only remember, and both of its clients on one real loop and
// a real socket.
#pragma once

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "capture_client/capture_client.h"
#include "capture_client/helper_query.h"
#include "core/log.h"
#include "fake_rules.h"
#include "samples.h"
#include "transparent-proxy/helper/server.h"

namespace mooring::transparent_proxy {

class Conversation : public testing::Test {
 protected:
  using Kind = capture_client::CaptureEvent::Kind;

  void SetUp() override {
    log::set_level(log::Level::off);
    std::string pattern = (std::filesystem::temp_directory_path() / "mooring-test.XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder = pattern;
    path = folder + "/net.sock";
  }
  void TearDown() override {
    log::set_level(log::Level::info);
    client.reset();
    server.reset();
    std::filesystem::remove_all(folder);
  }

  void start_server() {
    auto socket = make_server_socket(path, ::getgid());
    ASSERT_TRUE(socket) << describe(socket.error());
    control = std::make_unique<CaptureControl>(
        CaptureControl::Environment{rules,
                                    clock,
                                    [] { return sample_facts(); },
                                    [] { return sample_facts().name_servers; },
                                    [this]() -> Checked<Bounds> { return bounds; },
                                    [](const SavedState&) {},
                                    [](const std::string&) { return Checked<void>{}; }},
        SavedState{});
    control->start();
    server = std::make_unique<Server>(
        loop, std::move(*socket), Server::Options{::getuid()}, *control, rules);
  }
  void start_client() {
    client = std::make_unique<capture_client::CaptureClient>(
        loop, path, [this](const capture_client::CaptureEvent& event) {
          events.push_back(event);
          if (wanted_kind && event.kind == *wanted_kind) loop.stop();
        });
  }
  /// Runs the loop until somebody stops it; ten seconds are for a machine that stands still.
  void run() {
    Timer limit(loop, [this] {
      ADD_FAILURE() << "timed out";
      loop.stop();
    });
    limit.start(Milliseconds{10000});
    loop.run();
  }
  /// Until the client tells an event of this kind.
  void run_until(Kind kind) {
    wanted_kind = kind;
    run();
    wanted_kind.reset();
  }

  std::string folder;
  std::string path;
  Loop loop;
  Clock clock;
  FakeRules rules;
  Bounds bounds{
      {PortRange{}}, {}, {*parse_prefix("0.0.0.0/0"), *parse_prefix("::/0")}, {PortRange{}}, true};
  std::unique_ptr<CaptureControl> control;
  std::unique_ptr<Server> server;
  std::unique_ptr<capture_client::CaptureClient> client;
  std::optional<Kind> wanted_kind;
  std::vector<capture_client::CaptureEvent> events;
};

class Query : public Conversation {
 protected:
  using Answer = Checked<capture_client::HelperQuery::Answer>;

  Answer ask(capture_client::Body request, Milliseconds within = Milliseconds{10000}) {
    Answer answer = fail(Diagnostic{"", "never told", ""});
    bool is_told = false;
    const capture_client::HelperQuery query(loop, path, std::move(request), within, [&](auto told) {
      answer = std::move(told);
      is_told = true;
      loop.stop();
    });
    EXPECT_FALSE(is_told) << "never told inside the call";
    loop.run();
    EXPECT_TRUE(query.is_done());
    return answer;
  }
};

}  // namespace mooring::transparent_proxy
