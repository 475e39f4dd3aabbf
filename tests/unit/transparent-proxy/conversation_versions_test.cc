// Helper and agents, or commands, of which one is of another protocol version.
#include "conversation.h"

#include <sys/socket.h>

#include <gmock/gmock.h>

#include <thread>

#include "capture_client/helper_connection.h"
#include "capture_client/transport.h"

namespace mooring::transparent_proxy {
namespace {

using capture_client::HelperConnection;
using testing::HasSubstr;

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
  EXPECT_EQ(older.refused, capture_client::kProtocolVersion - 1);
  EXPECT_EQ(events.front().kind, Kind::connected) << "the other greeting is nobody's concern";
  EXPECT_EQ(events.front().text, "older");
}

TEST_F(Query, AnOlderHelperIsAskedInItsVersion) {
  OlderHelper older(loop, path);
  const Answer answer = ask(capture_client::GetStatus{});
  ASSERT_TRUE(answer) << describe(answer.error());
  EXPECT_EQ(older.refused, capture_client::kProtocolVersion - 1);
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
    if (received) {
      told =
          fail(Diagnostic{"", std::get<capture_client::Refused>(received->message.body).text, ""});
    }
    done.notify();
  });
  loop.run();
  newer.join();
  ASSERT_FALSE(told);
  EXPECT_THAT(told.error().message, HasSubstr("speaks protocol 1 to 3, not 4"));
}

}  // namespace
}  // namespace mooring::transparent_proxy
