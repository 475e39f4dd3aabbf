// Against a mooring-net that says what the test wants, on the same loop.
#include "app/capture_control.h"

#include <gmock/gmock.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <thread>

#include "capture_client/transport.h"
#include "core/log.h"
#include "net/socket.h"
#include "support.h"

namespace mooring::app {
namespace {

using namespace capture_client;  // messages
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr std::uint16_t kPorts = 0;  // of listeners: chosen by the kernel

class FakeHelper {
 public:
  FakeHelper(Loop& loop, const std::string& path) : loop_(loop) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
    fd_ = UniqueFd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    EXPECT_EQ(::bind(fd_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    EXPECT_EQ(::listen(fd_.get(), 16), 0);
    watch_ = std::make_unique<PollWatch>(loop, fd_.get(), [this](int, int) { accept(); });
    watch_->start(PollWatch::readable);
  }

  bool answers = true;
  std::string refusal;  // of Activate, if any
  Status status;
  std::vector<GetListeners> listener_requests;
  std::vector<InterceptConfig> activated;
  int drops = 0;

  /// As mooring-net does when its status changes.
  void tell() {
    if (agent_ >= 0) post_message(agent_, {0, status});
  }

 private:
  struct Session {
    UniqueFd fd;
    std::unique_ptr<PollWatch> watch;
  };

  void accept() {
    UniqueFd fd(::accept4(fd_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (!fd.valid()) return;
    auto session = std::make_unique<Session>();
    Session& self = *session;
    self.fd = std::move(fd);
    self.watch =
        std::make_unique<PollWatch>(loop_, self.fd.get(), [this, &self](int, int) { read(self); });
    self.watch->start(PollWatch::readable);
    sessions_.push_back(std::move(session));
  }

  void read(Session& session) {
    while (answers) {
      auto received = receive_message(session.fd.get());
      if (!received) {
        if (received.error().code != Errc::timed_out) session.watch->stop();
        return;
      }
      answer(session, received->message);
    }
  }

  void answer(Session& session, const Message& message) {
    const auto say = [&](Body body, const std::vector<int>& descriptors = {}) {
      post_message(session.fd.get(), {message.id, std::move(body)}, descriptors);
    };
    if (std::holds_alternative<Hello>(message.body)) {
      say(Welcome{"test", "fake"});
      if (const auto& who = std::get<Hello>(message.body); who.role == Role::agent) {
        agent_ = session.fd.get();
        tell();
      }
      return;
    }
    if (std::holds_alternative<GetStatus>(message.body)) return say(status);
    if (const auto* wish = std::get_if<Activate>(&message.body)) {
      if (!refusal.empty()) return say(Refused{Errc::permission, refusal});
      activated.push_back(wish->config);
      return say(Done{});
    }
    if (std::holds_alternative<Drop>(message.body)) {
      ++drops;
      return say(Done{});
    }
    if (const auto* wish = std::get_if<GetListeners>(&message.body)) {
      listener_requests.push_back(*wish);
      ListenerSet set;
      std::vector<UniqueFd> made;
      std::vector<int> descriptors;
      for (const auto& [direction, port] : {std::pair{Direction::outbound, wish->outbound_port},
                                            std::pair{Direction::inbound, wish->inbound_port}}) {
        if (port == 0) continue;
        made.push_back(*net::make_listener({*parse_ip("127.0.0.1"), kPorts}, {}));
        descriptors.push_back(made.back().get());
        set.listeners.push_back({direction, false, 0});
      }
      say(std::move(set), descriptors);
    }
  }

  Loop& loop_;
  UniqueFd fd_;
  std::unique_ptr<PollWatch> watch_;
  std::vector<std::unique_ptr<Session>> sessions_;
  int agent_ = -1;
};

constexpr std::string_view kUpstream = R"(
[[upstream]]
name = "db"
addresses = ["10.0.0.3"]
ports = [5432]
spiffe_ids = ["spiffe://shop.test/db"]
)";

class CaptureControlTest : public ::testing::Test {
 protected:
  void SetUp() override {
    log::set_level(log::Level::off);
    std::string pattern = std::filesystem::temp_directory_path() / "mooring-capture-XXXXXX";
    folder = ::mkdtemp(pattern.data());
    path = folder + "/net.sock";
  }
  void TearDown() override {
    log::set_level(log::Level::info);
    control.reset();
    helper.reset();
    std::filesystem::remove_all(folder);
  }

  /// `outbound_port`: one that is free, for those that the agent opens itself.
  [[nodiscard]] config::AgentConfig config(bool enabled, std::string_view rest = kUpstream) const {
    auto made = config_of("[capture]\nenabled = " + std::string(enabled ? "true" : "false") +
                          "\nhelper_socket = \"" + path + "\"\n" + std::string(rest));
    made.capture.outbound_port = free_port;
    return made;
  }
  void make() {
    control.emplace(loop,
                    SocketNeeds{},
                    CaptureControl::Effects{[this](WorkerSockets more) {
                                              for (WorkerSocket& socket : more)
                                                sockets.push_back(std::move(socket));
                                            },
                                            [this] { ++changes; },
                                            [this] { return resources; },
                                            [this] { return dns_port; }});
  }
  [[nodiscard]] std::size_t count(proxy::SocketKind kind) const {
    return static_cast<std::size_t>(
        std::count_if(sockets.begin(), sockets.end(), [&](const WorkerSocket& socket) {
          return socket.message.kind == kind;
        }));
  }
  CaptureState refreshed() {
    bool done = false;
    control->refresh([&] { done = true; });
    EXPECT_TRUE(run_until(loop, [&] { return done; }));
    return control->state();
  }
  static std::uint16_t find_free_port() {
    const UniqueFd probe = *net::make_listener({*parse_ip("127.0.0.1"), 0}, {});
    return net::local_address(probe.get())->port;
  }

  Loop loop;
  std::string folder;
  std::string path;
  std::uint16_t free_port = find_free_port();
  std::vector<WorkerSocket> sockets;
  int changes = 0;
  const snapshot::Resources* resources = nullptr;
  std::uint16_t dns_port = 0;
  std::optional<FakeHelper> helper;
  std::optional<CaptureControl> control;
};

TEST_F(CaptureControlTest, WithoutAHelperWantedCaptureIsLookedForAndThenOn) {
  make();
  ASSERT_TRUE(control->start(config(true), {}));
  EXPECT_FALSE(control->has_sockets());
  EXPECT_THAT(control->problem(), HasSubstr("is mooring-net running?"));
  EXPECT_EQ(refreshed().state, "unknown");
  helper.emplace(loop, path);
  ASSERT_TRUE(run_until(loop, [&] { return control->is_active(); }));
  EXPECT_TRUE(control->has_sockets());
  EXPECT_THAT(control->problem(), IsEmpty());
  EXPECT_EQ(sockets.size(), 2U);
  ASSERT_EQ(helper->activated.size(), 1U);
  EXPECT_EQ(helper->activated[0].outbound.size(), 1U);
  EXPECT_GT(changes, 0);
}

TEST_F(CaptureControlTest, AHelperThatComesALittleLaterIsFoundAtOnce) {
  make();
  ASSERT_TRUE(control->start(config(true), {}));
  run_for(loop, Milliseconds{100});
  helper.emplace(loop, path);
  run_for(loop, Milliseconds{500});
  EXPECT_TRUE(control->is_active());
}

TEST_F(CaptureControlTest, WithCaptureOffItHasItsOwnSocketsAndTakesTheRestFromALaterHelper) {
  make();
  ASSERT_TRUE(control->start(config(false), {}));
  EXPECT_TRUE(control->has_sockets());
  EXPECT_THAT(control->problem(), IsEmpty());
  const std::size_t own = count(proxy::SocketKind::outbound);
  EXPECT_GE(own, 1U);
  helper.emplace(loop, path);
  ASSERT_TRUE(run_until(loop, [&] { return count(proxy::SocketKind::inbound) == 1; }));
  ASSERT_EQ(helper->listener_requests.size(), 1U);
  EXPECT_EQ(helper->listener_requests[0].outbound_port, 0) << "its own stay";
  EXPECT_EQ(count(proxy::SocketKind::outbound), own);
  run_for(loop, Milliseconds{50});
  EXPECT_THAT(helper->activated, IsEmpty()) << "the configuration wants no capture";
}

TEST_F(CaptureControlTest, AReloadSwitchesCaptureOnAndOff) {
  std::thread start_is_blocking([this] {  // so the helper needs a loop of its own for it
    Loop beside;
    FakeHelper first(beside, path);
    run_until(beside, [&] { return !first.listener_requests.empty(); });
    run_for(beside, Milliseconds{50});
  });
  while (!std::filesystem::exists(path))
    std::this_thread::yield();
  make();
  const auto started = control->start(config(false), {});
  start_is_blocking.join();
  ASSERT_TRUE(started) << describe(started.error());
  ASSERT_EQ(sockets.size(), 2U);
  std::filesystem::remove(path);
  helper.emplace(loop, path);
  ASSERT_TRUE(control->apply(config(true), {}));
  ASSERT_TRUE(run_until(loop, [&] { return control->is_active(); }));
  ASSERT_TRUE(control->apply(config(false), {}));
  ASSERT_TRUE(run_until(loop, [&] { return helper->drops == 1; }));
  EXPECT_FALSE(control->is_active());
}

TEST_F(CaptureControlTest, WhatRootSwitchedOnIsActiveToo) {
  make();
  ASSERT_TRUE(control->start(config(false), {}));
  helper.emplace(loop, path);
  helper->status.state = capture_client::CaptureState::active;
  ASSERT_TRUE(run_until(loop, [&] { return control->is_active(); }));
  helper->status.state = capture_client::CaptureState::held_off;
  helper->tell();
  EXPECT_TRUE(run_until(loop, [&] { return !control->is_active(); }));
}

TEST_F(CaptureControlTest, ARefusalIsTheProblem) {
  make();
  ASSERT_TRUE(control->start(config(true), {}));
  helper.emplace(loop, path);
  helper->refusal = "is not in outbound.addresses of capture.toml";
  ASSERT_TRUE(run_until(
      loop, [&] { return control->problem() == "is not in outbound.addresses of capture.toml"; }));
  EXPECT_FALSE(control->is_active());
}

TEST_F(CaptureControlTest, TheStatusIsTheHelpersOwn) {
  make();
  ASSERT_TRUE(control->start(config(true), {}));
  helper.emplace(loop, path);
  helper->status.state = capture_client::CaptureState::gave_up;
  helper->status.backend = "fake";
  helper->status.repairs = 5;
  helper->status.problem = "another program keeps changing the rules";
  ASSERT_TRUE(run_until(loop, [&] { return control->is_active(); }));
  const app::CaptureState state = refreshed();
  EXPECT_EQ(state.state, "gave_up");
  EXPECT_EQ(state.backend, "fake");
  EXPECT_EQ(state.repairs, 5U);
  EXPECT_EQ(state.problem, "another program keeps changing the rules");
}

TEST_F(CaptureControlTest, AHelperThatHangsCostsTheStatusALittleTimeAndTheLoopNone) {
  make();
  ASSERT_TRUE(control->start(config(true), {}));
  helper.emplace(loop, path);
  ASSERT_TRUE(run_until(loop, [&] { return control->is_active(); }));
  helper->answers = false;
  int turns = 0;
  bool done = false;
  Timer other(loop, [&] { ++turns; });
  other.start(Milliseconds{5}, Milliseconds{5});
  control->refresh([&] { done = true; });
  control->refresh([] {});  // both get the one answer
  ASSERT_TRUE(run_until(loop, [&] { return done; }));
  EXPECT_GE(turns, 5);
  EXPECT_EQ(control->state().state, "unknown");
  EXPECT_THAT(control->state().problem, HasSubstr("did not answer within"));
}

TEST_F(CaptureControlTest, QueriesForNamesAreAskedForWhenTheHelperAllowsItAndNamesAreServed) {
  snapshot::Listener listener;
  listener.name = "outbound";
  listener.direction = snapshot::Direction::outbound;
  listener.match = {{*parse_prefix("241.0.0.1"), 80}};
  snapshot::Resources mesh;
  mesh.listeners = {listener};
  resources = &mesh;
  make();
  ASSERT_TRUE(control->start(config(true, ""), {}));
  EXPECT_FALSE(control->is_settled());
  helper.emplace(loop, path);
  ASSERT_TRUE(run_until(loop, [&] { return control->is_active(); }));
  EXPECT_TRUE(control->is_settled());
  EXPECT_EQ(helper->activated.back().dns_port, 0) << "it is not allowed";
  EXPECT_FALSE(control->redirects_dns());
  helper->status.dns = DnsRedirection::allowed;
  helper->tell();
  ASSERT_TRUE(run_until(loop, [&] { return control->redirects_dns(); }));
  EXPECT_EQ(helper->activated.back().dns_port, 0) << "there are no names yet";
  dns_port = 15053;
  ASSERT_TRUE(control->apply(config(true, ""), {}));
  ASSERT_TRUE(run_until(loop, [&] { return control->is_active(); }));
  EXPECT_EQ(helper->activated.back().dns_port, 15053);
  EXPECT_FALSE(control->redirects_dns()) << "confirmed, and the helper says that it is not done";
  helper->status.dns = DnsRedirection::active;
  helper->tell();
  EXPECT_TRUE(run_until(loop, [&] { return control->redirects_dns(); }));
}

TEST_F(CaptureControlTest, DropWithoutAHelperIsDoneAtOnce) {
  make();
  ASSERT_TRUE(control->start(config(false), {}));
  bool done = false;
  control->drop([&] { done = true; });
  EXPECT_TRUE(done);
}

TEST_F(CaptureControlTest, AReloadWithoutHelperMayGiveUpCapture) {
  make();
  ASSERT_TRUE(control->start(config(true), {}));
  EXPECT_FALSE(control->has_sockets());
  ASSERT_TRUE(control->check(config(false)));
  ASSERT_TRUE(control->apply(config(false), {}));
  EXPECT_TRUE(control->has_sockets());
  EXPECT_THAT(control->problem(), IsEmpty());
  ASSERT_TRUE(control->apply(config(true), {}));
  EXPECT_FALSE(control->has_sockets());
  EXPECT_THAT(control->problem(), HasSubstr("is mooring-net running?"));
}

}  // namespace
}  // namespace mooring::app
