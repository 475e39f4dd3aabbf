// The agent's client, the commands' client and the helper's server with each other.
#include "conversation.h"

#include <sys/socket.h>

#include <gmock/gmock.h>

#include <thread>

#include "capture_client/helper_connection.h"

namespace mooring::transparent_proxy {
namespace {

using capture_client::HelperConnection;
using capture_client::HelperQuery;
using testing::HasSubstr;

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
  capture_client::Status told;
  Timer look(loop, [&] {
    told = client->status().value_or(told);
    if (told.repairs == 1) loop.stop();
  });
  look.start(Milliseconds{10}, Milliseconds{10});
  run();
  EXPECT_EQ(told.state, capture_client::CaptureState::active);
  EXPECT_FALSE(told.config);
}

// ---- HelperQuery

TEST_F(Query, BringsTheStatus) {
  start_server();
  const Answer answer = ask(capture_client::GetStatus{});
  ASSERT_TRUE(answer) << describe(answer.error());
  const auto* status = std::get_if<capture_client::Status>(&answer->body);
  ASSERT_NE(status, nullptr);
  EXPECT_EQ(status->backend, "fake");
}

TEST_F(Query, ARefusalIsASentence) {
  start_server();
  const Answer answer = ask(capture_client::Done{});  // an answer: nobody may send it
  ASSERT_FALSE(answer);
  EXPECT_THAT(answer.error().message, HasSubstr("is not allowed for uid"));
}

TEST_F(Query, AHelperThatIsNotThereIsNamedAtOnce) {
  const Answer answer = ask(capture_client::GetStatus{});
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().message, "the capture helper does not answer");
}

TEST_F(Query, AHelperThatDoesNotAnswerIsWaitedForUntilTheLimit) {
  auto silent = make_server_socket(path, ::getgid());
  ASSERT_TRUE(silent);
  const Answer answer = ask(capture_client::GetStatus{}, Milliseconds{50});
  ASSERT_FALSE(answer);
  EXPECT_THAT(answer.error().message, HasSubstr("did not answer within 50 ms"));
}

TEST_F(Query, AHelperThatEndsMeanwhileIsAnError) {
  auto silent = make_server_socket(path, ::getgid());
  ASSERT_TRUE(silent);
  Timer end(loop, [&] { silent->reset(); });
  end.start(Milliseconds{10});
  EXPECT_FALSE(ask(capture_client::GetStatus{}));
}

TEST_F(Query, CanBeCancelled) {
  start_server();
  {
    const HelperQuery cancelled(
        loop, path, capture_client::GetStatus{}, Milliseconds{10000}, [](const auto&) {
          ADD_FAILURE() << "cancelled";
        });
  }
  EXPECT_TRUE(ask(capture_client::GetStatus{}));
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
