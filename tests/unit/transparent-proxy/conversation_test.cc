// The agent's client, the commands' client and the helper's server with each other, on one real
// loop and a real socket.
#include <sys/socket.h>
#include <unistd.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <thread>

#include "capture_client/capture_client.h"
#include "capture_client/helper_connection.h"
#include "capture_client/helper_query.h"
#include "capture_client/transport.h"
#include "core/log.h"
#include "fake_rules.h"
#include "samples.h"
#include "transparent-proxy/helper/server.h"

namespace mooring::transparent_proxy {
namespace {

using capture_client::CaptureClient;
using capture_client::CaptureEvent;
using capture_client::HelperConnection;
using capture_client::HelperQuery;
using testing::HasSubstr;
using Kind = CaptureEvent::Kind;

class Conversation : public testing::Test {
 protected:
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
    limit.reset();
    std::filesystem::remove_all(folder);
  }

  void start_server() {
    auto socket = make_server_socket(path, ::getgid());
    ASSERT_TRUE(socket) << describe(socket.error());
    control.emplace(CaptureControl::Environment{rules,
                                                clock,
                                                [] { return sample_facts(); },
                                                [this]() -> Checked<Bounds> { return bounds; },
                                                [](const SavedState&) {},
                                                [](const std::string&) { return Checked<void>{}; }},
                    SavedState{});
    control->start();
    server.emplace(loop, std::move(*socket), Server::Options{::getuid()}, *control, rules);
  }
  void start_client() {
    client.emplace(loop, path, [this](const CaptureEvent& event) {
      events.push_back(event);
      if (wanted_kind && event.kind == *wanted_kind) loop.stop();
    });
  }
  // Runs the loop until the client tells an event of this kind; ten seconds are for a machine that
  // stands still.
  void run_until(Kind kind) {
    wanted_kind = kind;
    limit.emplace(loop, [this] {
      ADD_FAILURE() << "timed out";
      loop.stop();
    });
    limit->start(Milliseconds{10000});
    loop.run();
    limit->stop();
    wanted_kind.reset();
  }

  std::string folder;
  std::string path;
  Loop loop;
  Clock clock;
  FakeRules rules;
  Bounds bounds{
      {PortRange{}}, {}, {*parse_prefix("0.0.0.0/0"), *parse_prefix("::/0")}, {PortRange{}}, true};
  std::optional<CaptureControl> control;
  std::optional<Server> server;
  std::optional<CaptureClient> client;
  std::optional<Timer> limit;
  std::optional<Kind> wanted_kind;
  std::vector<CaptureEvent> events;
};

TEST_F(Conversation, WhatIsWantedIsActivated) {
  start_server();
  start_client();
  client->set_wanted(sample_config());
  run_until(Kind::activated);
  EXPECT_TRUE(client->is_connected());
  EXPECT_TRUE(client->is_active());
  EXPECT_EQ(rules.kernel, FakeRules::Kernel::captured);
}

TEST_F(Conversation, TheAgentIsToldWhatChangesInTheHelpersStatus) {
  start_server();
  start_client();
  client->set_wanted(sample_config());
  run_until(Kind::activated);
  rules.is_untouched = false;
  control->on_rules_changed();
  rules.is_untouched = true;
  Timer look(loop, [this] {
    if (client->status() && client->status()->repairs == 1) loop.stop();
  });
  look.start(Milliseconds{10}, Milliseconds{10});
  limit.emplace(loop, [this] {
    ADD_FAILURE() << "timed out";
    loop.stop();
  });
  limit->start(Milliseconds{10000});
  loop.run();
  EXPECT_EQ(client->status()->state, capture_client::CaptureState::active);
  EXPECT_FALSE(client->status()->config);
}

// ---- HelperQuery

class Query : public Conversation {
 protected:
  void ask(capture_client::Body request, Milliseconds within = Milliseconds{10000}) {
    query.emplace(loop, path, std::move(request), within, [this](auto outcome) {
      answer = std::move(outcome);
      loop.stop();
    });
    EXPECT_FALSE(answer) << "never told inside the call";
    loop.run();
    EXPECT_TRUE(query->is_done());
  }
  void TearDown() override {
    query.reset();
    Conversation::TearDown();
  }
  std::optional<HelperQuery> query;
  std::optional<Checked<HelperQuery::Answer>> answer;
};

TEST_F(Query, BringsTheStatus) {
  start_server();
  ask(capture_client::GetStatus{});
  ASSERT_TRUE(*answer) << describe(answer->error());
  const auto* status = std::get_if<capture_client::Status>(&(*answer)->body);
  ASSERT_NE(status, nullptr);
  EXPECT_EQ(status->backend, "fake");
}

TEST_F(Query, ARefusalIsASentence) {
  start_server();
  ask(capture_client::Done{});  // an answer: nobody may send it
  ASSERT_FALSE(*answer);
  EXPECT_THAT(answer->error().message, HasSubstr("is not allowed for uid"));
}

TEST_F(Query, AHelperThatIsNotThereIsNamedAtOnce) {
  ask(capture_client::GetStatus{});
  ASSERT_FALSE(*answer);
  EXPECT_EQ(answer->error().message, "the capture helper does not answer");
}

TEST_F(Query, AHelperThatDoesNotAnswerIsWaitedForUntilTheLimit) {
  auto silent = make_server_socket(path, ::getgid());
  ASSERT_TRUE(silent);
  ask(capture_client::GetStatus{}, Milliseconds{50});
  ASSERT_FALSE(*answer);
  EXPECT_THAT(answer->error().message, HasSubstr("did not answer within 50 ms"));
}

TEST_F(Query, AHelperThatEndsMeanwhileIsAnError) {
  auto silent = make_server_socket(path, ::getgid());
  ASSERT_TRUE(silent);
  Timer end(loop, [&] { silent->reset(); });
  end.start(Milliseconds{10});
  ask(capture_client::GetStatus{});
  EXPECT_FALSE(*answer);
}

TEST_F(Query, CanBeCancelled) {
  start_server();
  {
    const HelperQuery cancelled(
        loop, path, capture_client::GetStatus{}, Milliseconds{10000}, [](auto) {
          ADD_FAILURE() << "cancelled";
        });
  }
  ask(capture_client::GetStatus{});
  EXPECT_TRUE(*answer);
}

TEST_F(Conversation, ARefusalIsASentence) {
  bounds = Bounds{};
  start_server();
  start_client();
  client->set_wanted(sample_config());
  run_until(Kind::refused);
  EXPECT_FALSE(client->is_active());
  EXPECT_THAT(events.back().text,
              HasSubstr("inbound port 8080: is not in inbound.ports of capture.toml"));
}

TEST_F(Conversation, TheClientWaitsForTheHelperAndAsksAgainAfterItsRestart) {
  start_client();
  client->set_wanted(sample_config());
  run_until(Kind::disconnected);
  start_server();
  run_until(Kind::activated);
  server.reset();
  run_until(Kind::disconnected);
  EXPECT_FALSE(client->is_active());
  start_server();
  run_until(Kind::activated);
  EXPECT_EQ(rules.captures, 2);
}

TEST_F(Conversation, TheEndOfTheAgentsConnectionIsItsDeath) {
  start_server();
  start_client();
  client->set_wanted(sample_config());
  run_until(Kind::activated);
  client.reset();
  Timer look(loop, [this] {
    if (rules.releases > 0) loop.stop();
  });
  look.start(Milliseconds{1}, Milliseconds{1});
  loop.run();
  EXPECT_EQ(rules.kernel, FakeRules::Kernel::guarded);
}

TEST_F(Conversation, DropEndsCaptureAndIsAnswered) {
  start_server();
  start_client();
  client->set_wanted(sample_config());
  run_until(Kind::activated);
  bool is_done = false;
  client->drop([&] { is_done = true; });
  EXPECT_FALSE(is_done) << "never inside the call";
  run_until(Kind::dropped);
  EXPECT_TRUE(is_done);
  // Root's drop clears; whoever runs this test as another user is the agent, whose drop keeps the
  // guard.
  EXPECT_NE(rules.kernel, FakeRules::Kernel::captured);
}

TEST_F(Conversation, DropWithoutAHelperIsAnsweredToo) {
  start_client();
  bool is_done = false;
  client->drop([&] { is_done = true; });
  run_until(Kind::dropped);
  EXPECT_TRUE(is_done);
}

TEST_F(Conversation, TheClientHoldsTheOwnersSocketThroughTheHelpersEnd) {
  int ends[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
  UniqueFd owner(ends[0]);
  const UniqueFd other_end(ends[1]);
  rules.owner_fd = owner.get();
  start_server();
  start_client();
  client->set_wanted(sample_config());
  run_until(Kind::activated);
  owner.reset();  // the helper is killed
  server.reset();
  run_until(Kind::disconnected);
  char byte = 0;
  EXPECT_EQ(::recv(other_end.get(), &byte, 1, MSG_DONTWAIT), -1) << "still held";
  client.reset();
  EXPECT_EQ(::recv(other_end.get(), &byte, 1, 0), 0) << "let go with the agent";
}

TEST_F(Conversation, ACommandGetsStatusAndRefusalsInWords) {
  start_server();
  Checked<capture_client::Status> status = fail(Diagnostic{"not asked", "", ""});
  Checked<void> switched_on;
  Wakeup done(loop, [this] { loop.stop(); });
  std::thread command([&] {
    auto connection = HelperConnection::open(path);
    ASSERT_TRUE(connection) << describe(connection.error());
    EXPECT_EQ(connection->welcome().backend, "fake");
    status = connection->status();
    switched_on = connection->set_plan(sample_config());
    done.notify();
  });
  loop.run();
  command.join();
  ASSERT_TRUE(status) << describe(status.error());
  EXPECT_EQ(status->state, capture_client::CaptureState::off);
  EXPECT_EQ(status->agent_uid, ::getuid());
  EXPECT_THAT(describe(*status), HasSubstr("agent     not connected"));
  ASSERT_FALSE(switched_on);
  if (::getuid() == 0) {
    EXPECT_THAT(switched_on.error().message, HasSubstr("no agent is connected"));
  }
}

// ---- a peer of another protocol version

// What an older helper does: it ends whatever it cannot read, and answers the rest in its version.
class OlderHelper {
 public:
  OlderHelper(Loop& loop, const std::string& path)
      : loop_(loop),
        listener_(*make_server_socket(path, ::getgid())),
        watch_(loop, listener_.get(), [this](int, int) { on_accept(); }) {
    watch_.start(PollWatch::readable);
  }
  int refused = 0;
  std::vector<std::size_t> requests;  // by their position in Body

 private:
  struct Peer {
    UniqueFd fd;
    std::unique_ptr<PollWatch> watch;
  };
  void on_accept() {
    UniqueFd fd(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    peers_.push_back(std::make_unique<Peer>());
    Peer& peer = *peers_.back();
    peer.fd = std::move(fd);
    peer.watch = std::make_unique<PollWatch>(loop_, peer.fd.get(), [&](int, int) { read(peer); });
    peer.watch->start(PollWatch::readable);
  }
  void read(Peer& peer) {
    const auto received = capture_client::receive_message(peer.fd.get());
    if (!received && received.error().code == Errc::timed_out) return;
    if (!received || received->message.version != 1) {
      if (received) ++refused;
      peer.watch->stop();
      ::shutdown(peer.fd.get(), SHUT_RDWR);
      return;
    }
    const auto& message = received->message;
    requests.push_back(message.body.index());
    capture_client::Body answer = capture_client::Done{};
    if (std::holds_alternative<capture_client::Hello>(message.body))
      answer = capture_client::Welcome{"0.0.9", "older"};
    if (std::holds_alternative<capture_client::GetStatus>(message.body))
      answer = capture_client::Status{};
    capture_client::post_message(peer.fd.get(), {message.id, std::move(answer), 1});
  }

  Loop& loop_;
  UniqueFd listener_;
  PollWatch watch_;
  std::vector<std::unique_ptr<Peer>> peers_;
};

TEST_F(Conversation, AnOlderHelperIsSpokenToInItsVersion) {
  OlderHelper older(loop, path);
  start_client();
  client->set_wanted(sample_config());
  run_until(Kind::activated);
  EXPECT_EQ(older.refused, 1);
  EXPECT_EQ(events.front().kind, Kind::connected) << "the other greeting is nobody's concern";
  EXPECT_EQ(events.front().text, "older");
}

TEST_F(Query, AnOlderHelperIsAskedInItsVersion) {
  OlderHelper older(loop, path);
  ask(capture_client::GetStatus{});
  ASSERT_TRUE(*answer) << describe(answer->error());
  EXPECT_EQ(older.refused, 1);
}

TEST_F(Conversation, ACommandSpeaksToAnOlderHelperInItsVersion) {
  OlderHelper older(loop, path);
  Checked<void> confirmed = fail(Diagnostic{"not asked", "", ""});
  Wakeup done(loop, [this] { loop.stop(); });
  std::thread command([&] {
    auto connection = HelperConnection::open(path);
    if (connection) confirmed = connection->confirm();
    done.notify();
  });
  loop.run();
  command.join();
  EXPECT_TRUE(confirmed) << describe(confirmed.error());
}

TEST_F(Conversation, AnOlderAgentIsAnsweredInItsVersion) {
  start_server();
  auto fd = capture_client::connect_helper(path, true);
  ASSERT_TRUE(fd);
  std::vector<capture_client::Message> answers;
  std::thread older([&] {
    for (const capture_client::Body& body :
         {capture_client::Body{capture_client::Hello{capture_client::Role::agent, "0.0.9"}},
          capture_client::Body{capture_client::Activate{sample_config()}},
          capture_client::Body{capture_client::GetStatus{}}}) {
      ASSERT_TRUE(capture_client::send_message(fd->get(), {9, body, 1}));
    }
    while (answers.empty() || answers.back().id != 9 ||
           !std::holds_alternative<capture_client::Status>(answers.back().body)) {
      auto received = capture_client::receive_message(fd->get());
      ASSERT_TRUE(received) << describe(received.error());
      answers.push_back(std::move(received->message));
    }
  });
  Timer look(loop, [&] {
    if (rules.kernel == FakeRules::Kernel::captured) loop.stop();
  });
  look.start(Milliseconds{1}, Milliseconds{1});
  loop.run();
  older.join();
  EXPECT_EQ(rules.kernel, FakeRules::Kernel::captured);
  for (const auto& message : answers)
    EXPECT_EQ(message.version, 1) << message.body.index();
}

TEST_F(Conversation, ANewerVersionIsRefusedInWords) {
  start_server();
  auto fd = capture_client::connect_helper(path, true);
  ASSERT_TRUE(fd);
  auto packet = capture_client::encode({1, capture_client::GetStatus{}});
  packet[2] = std::byte{capture_client::kProtocolVersion + 1};
  ASSERT_EQ(::send(fd->get(), packet.data(), packet.size(), 0),
            static_cast<ssize_t>(packet.size()));
  Checked<void> told;
  Wakeup done(loop, [this] { loop.stop(); });
  std::thread newer([&] {
    auto received = capture_client::receive_message(fd->get());
    if (received)
      told =
          fail(Diagnostic{"", std::get<capture_client::Refused>(received->message.body).text, ""});
    done.notify();
  });
  loop.run();
  newer.join();
  ASSERT_FALSE(told);
  EXPECT_THAT(told.error().message, HasSubstr("speaks protocol 1 and 2, not 3"));
}

TEST_F(Conversation, ACommandWithoutAHelperSaysSo) {
  const auto connection = HelperConnection::open(path);
  ASSERT_FALSE(connection);
  EXPECT_EQ(connection.error().hint, "is mooring-net running?");
}

TEST_F(Conversation, ASecondHelperDoesNotTakeTheSocket) {
  start_server();
  const auto second = make_server_socket(path, ::getgid());
  ASSERT_FALSE(second);
  EXPECT_THAT(second.error().message, HasSubstr("another mooring-net"));
}

}  // namespace
}  // namespace mooring::transparent_proxy
