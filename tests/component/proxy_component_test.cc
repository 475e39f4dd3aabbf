// Two workers in one process: the first speaks mutual TLS to the second over loopback, as two
// hosts' agents do. The application's two ends are blocking sockets of the test.
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <condition_variable>
#include <csignal>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "net/socket.h"
#include "proxy/worker.h"
#include "snapshot/build.h"
#include "support/pki.h"

namespace mooring::proxy {
namespace {

using observe::CloseReason;

UniqueFd listen_on_loopback(SocketAddress& address) {
  auto fd = net::make_listener({IpAddress::v4(0x7f000001), 0}, {});
  AGENT_CHECK(fd.has_value());
  address = net::local_address(fd->get()).value();
  return std::move(*fd);
}

/// A blocking socket with a timeout, so that a test that hangs fails.
UniqueFd connect_to(const SocketAddress& address) {
  UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const timeval limit{10, 0};
  ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  sockaddr_storage raw{};
  const socklen_t size = address.to_sockaddr(raw);
  EXPECT_EQ(::connect(fd.get(), reinterpret_cast<sockaddr*>(&raw), size), 0);
  return fd;
}

UniqueFd accept_on(int listening) {
  for (int i = 0; i < 1000; ++i) {
    UniqueFd fd(::accept4(listening, nullptr, nullptr, SOCK_CLOEXEC));
    if (fd.valid()) {
      const timeval limit{10, 0};
      ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
      return fd;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return UniqueFd();
}

/// Reads until the end of stream; "RESET" where it ends by one.
std::string read_all(int fd) {
  std::string text;
  char block[65536];
  for (;;) {
    const ssize_t got = ::recv(fd, block, sizeof block, 0);
    if (got == 0) return text;
    if (got < 0) return errno == ECONNRESET ? text + "RESET" : text + "TIMEOUT";
    text.append(block, static_cast<std::size_t>(got));
  }
}

void send_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t put = ::send(fd, text.data(), text.size(), MSG_NOSIGNAL);
    if (put <= 0) return;
    text.remove_prefix(static_cast<std::size_t>(put));
  }
}

class Log final : public observe::AccessLog {
 public:
  bool log(observe::AccessRecord record) noexcept override {
    const std::lock_guard lock(mutex_);
    records_.push_back(std::move(record));
    changed_.notify_all();
    return true;
  }
  std::uint64_t dropped() const noexcept override { return 0; }
  std::uint64_t written() const noexcept override { return 0; }
  std::uint64_t failures() const noexcept override { return 0; }
  void reopen() noexcept override {}

  observe::AccessRecord wait_for(std::size_t index) {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, std::chrono::seconds(10), [&] { return records_.size() > index; });
    return records_.size() > index ? records_[index] : observe::AccessRecord{};
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<observe::AccessRecord> records_;
};

constexpr std::uint32_t kMaxHandshakes = 4;

/// One agent: a worker and what the control thread would do for it.
class Agent {
 public:
  explicit Agent(Milliseconds handshake_timeout) : stats_(1) {
    WorkerOptions options;
    options.stats = &stats_.worker(0);
    options.access_log = &log_;
    options.handshake_timeout = handshake_timeout;
    options.max_handshakes = kMaxHandshakes;
    options.to_control = [this](ControlMessage message) {
      const std::lock_guard lock(mutex_);
      to_control_.push_back(std::move(message));
    };
    worker_ = std::make_unique<WorkerThread>(std::move(options));
  }

  void use(const snapshot::Resources& resources, identity::MaterialPtr material) {
    snapshot_ = snapshot::build(resources, std::move(material), snapshot_.get()).snapshot;
    auto table = std::make_shared<StatsTable>();
    for (const auto& listener : snapshot_->listeners)
      table->listeners.push_back(&stats_.listener({listener->name, ""}, 0));
    for (const auto& cluster : snapshot_->clusters)
      table->clusters.push_back(&stats_.cluster(cluster->name, 0));
    worker_->post(UseSnapshot{snapshot_, table});
  }
  void listen(const std::string& listener, UniqueFd fd) {
    net::set_proxy_options(fd.get(), {});
    worker_->post(AddSocket{SocketKind::bound, std::move(fd), listener});
  }
  Log& log() { return log_; }
  observe::StatsRegistry& stats() { return stats_; }
  const snapshot::Snapshot& snapshot() const { return *snapshot_; }
  /// What the worker has sent to the control thread since the last call.
  std::vector<ControlMessage> take_messages() {
    const std::lock_guard lock(mutex_);
    return std::exchange(to_control_, {});
  }

 private:
  observe::StatsRegistry stats_;
  Log log_;
  std::mutex mutex_;
  std::vector<ControlMessage> to_control_;
  snapshot::SnapshotPtr snapshot_;
  std::unique_ptr<WorkerThread> worker_;
};

constexpr const char* kWeb = "spiffe://shop.test/web";
constexpr const char* kDb = "spiffe://shop.test/db";

class ProxyTest : public testing::Test {
 protected:
  ProxyTest() : app_(listen_on_loopback(app_address_)) {
    std::signal(SIGPIPE, SIG_IGN);  // as mooringd does; libuv writes without MSG_NOSIGNAL
    UniqueFd inbound = listen_on_loopback(inbound_address_);
    UniqueFd outbound = listen_on_loopback(outbound_address_);
    service_.name = "inbound_db";
    service_.direction = snapshot::Direction::inbound;
    service_.tls = snapshot::DownstreamTls::strict;
    service_.bind = inbound_address_;
    service_.cluster = "localhost_db";
    service_.authorization.allow = {{kWeb, false}};
    upstream_.name = "db";
    upstream_.mtls = true;
    upstream_.endpoints = {inbound_address_};
    upstream_.expected_peers = {{kDb, false}};
    server_.listen("inbound_db", std::move(inbound));
    client_.listen("outbound_db", std::move(outbound));
  }

  void start() { start(ca_.material(kWeb), ca_.material(kDb)); }
  void start(identity::MaterialPtr web, identity::MaterialPtr db) {
    use_server(std::move(db));
    snapshot::Resources resources;
    snapshot::Listener listener;
    listener.name = "outbound_db";
    listener.bind = outbound_address_;
    listener.cluster = "db";
    resources.listeners = {listener};
    resources.clusters = {upstream_};
    client_.use(resources, std::move(web));
  }
  void use_server(identity::MaterialPtr db) {
    snapshot::Resources resources;
    snapshot::Cluster local;
    local.name = "localhost_db";
    local.local = true;
    local.endpoints = {app_address_};
    resources.listeners = {service_};
    resources.clusters = {local};
    server_.use(resources, std::move(db));
  }
  /// What the application sees when the path does not come about.
  std::string refused() {
    const UniqueFd caller = connect_to(outbound_address_);
    send_all(caller.get(), "hello");
    return read_all(caller.get());
  }

  test::TestCa ca_{"shop.test"};
  SocketAddress app_address_;
  SocketAddress inbound_address_;
  SocketAddress outbound_address_;
  UniqueFd app_;
  snapshot::Listener service_;
  snapshot::Cluster upstream_;
  Agent server_{Milliseconds(1000)};
  Agent client_{Milliseconds(20000)};  // outlasts what stalls the server
};

TEST_F(ProxyTest, RelaysBothWaysAndKeepsHalfClose) {
  start();
  const UniqueFd caller = connect_to(outbound_address_);
  send_all(caller.get(), "question");
  ::shutdown(caller.get(), SHUT_WR);
  const UniqueFd served = accept_on(app_.get());
  EXPECT_EQ(read_all(served.get()), "question");
  send_all(served.get(), "answer after the caller's end");
  ::shutdown(served.get(), SHUT_WR);
  EXPECT_EQ(read_all(caller.get()), "answer after the caller's end");
  const auto inbound = server_.log().wait_for(0);
  EXPECT_EQ(inbound.reason, CloseReason::closed);
  EXPECT_EQ(inbound.peer_identity, kWeb);
  EXPECT_EQ(inbound.local_identity, kDb);
  EXPECT_EQ(inbound.bytes_received, 8U);
  const auto outbound = client_.log().wait_for(0);
  EXPECT_EQ(outbound.reason, CloseReason::closed);
  EXPECT_EQ(outbound.peer_identity, kDb);
  EXPECT_EQ(outbound.tls_version, "TLSv1.3");
}

TEST_F(ProxyTest, ServesAServerThatSpeaksFirst) {
  start();
  const UniqueFd caller = connect_to(outbound_address_);
  const UniqueFd served = accept_on(app_.get());
  send_all(served.get(), "greeting");
  char block[8];
  EXPECT_EQ(::recv(caller.get(), block, sizeof block, MSG_WAITALL), 8);
  EXPECT_EQ(std::string(block, 8), "greeting");
}

TEST_F(ProxyTest, LosesAndReordersNothingInALongStream) {
  start();
  const UniqueFd caller = connect_to(outbound_address_);
  const UniqueFd served = accept_on(app_.get());
  std::string sent(32U << 20U, '\0');
  std::uint32_t state = 1;
  for (char& c : sent)
    c = static_cast<char>((state = state * 1664525U + 1013904223U) >> 24U);
  std::thread echo([&] {
    char block[65536];
    for (ssize_t got = 0; (got = ::recv(served.get(), block, sizeof block, 0)) > 0;) {
      send_all(served.get(), {block, static_cast<std::size_t>(got)});
    }
    ::shutdown(served.get(), SHUT_WR);
  });
  std::thread writer([&] {
    send_all(caller.get(), sent);
    ::shutdown(caller.get(), SHUT_WR);
  });
  EXPECT_TRUE(read_all(caller.get()) == sent);
  writer.join();
  echo.join();
}

TEST_F(ProxyTest, PassesAResetOn) {
  start();
  UniqueFd caller = connect_to(outbound_address_);
  const UniqueFd served = accept_on(app_.get());
  const linger reset{1, 0};
  ::setsockopt(caller.get(), SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
  caller.reset();
  EXPECT_EQ(read_all(served.get()), "RESET");
  EXPECT_EQ(client_.log().wait_for(0).reason, CloseReason::downstream_reset);
}

TEST_F(ProxyTest, RefusesAnIdentityThatNoRuleAllows) {
  service_.authorization.allow = {{"spiffe://shop.test/other", false}};
  start();
  EXPECT_EQ(refused(), "RESET");
  const auto record = server_.log().wait_for(0);
  EXPECT_EQ(record.reason, CloseReason::denied);
  EXPECT_EQ(record.peer_identity, kWeb);
  EXPECT_EQ(server_.stats().listener({"inbound_db", ""}, 0).rbac_denied.value(), 1U);
}

TEST_F(ProxyTest, RefusesAServerWithAnotherIdentity) {
  upstream_.expected_peers = {{"spiffe://shop.test/other", false}};
  start();
  EXPECT_EQ(refused(), "RESET");
  EXPECT_EQ(client_.log().wait_for(0).reason, CloseReason::unexpected_peer);
}

TEST_F(ProxyTest, RefusesAPeerOfAnotherAuthority) {
  const test::TestCa stranger("shop.test");
  start(stranger.material(kWeb), ca_.material(kDb));
  EXPECT_EQ(refused(), "RESET");
  EXPECT_EQ(client_.log().wait_for(0).reason, CloseReason::peer_untrusted);
}

TEST_F(ProxyTest, RefusesWithoutAnIdentity) {
  start(nullptr, ca_.material(kDb));
  EXPECT_EQ(refused(), "RESET");
  EXPECT_EQ(client_.log().wait_for(0).reason, CloseReason::no_identity);
}

TEST_F(ProxyTest, RefusesPlainTextOnAStrictPort) {
  start();
  const UniqueFd intruder = connect_to(inbound_address_);
  send_all(intruder.get(), "GET / HTTP/1.1\r\n\r\n");
  static_cast<void>(read_all(intruder.get()));
  EXPECT_EQ(server_.log().wait_for(0).reason, CloseReason::plaintext_refused);
}

TEST_F(ProxyTest, EndsASilentHandshakeInTime) {
  start();
  const UniqueFd silent = connect_to(inbound_address_);
  static_cast<void>(read_all(silent.get()));
  EXPECT_EQ(server_.log().wait_for(0).reason, CloseReason::handshake_timeout);
}

TEST_F(ProxyTest, ReportsARefusedApplicationAsAReset) {
  app_.reset();
  start();
  EXPECT_EQ(refused(), "RESET");
  EXPECT_EQ(server_.log().wait_for(0).reason, CloseReason::connect_refused);
}

TEST_F(ProxyTest, TriesAnotherEndpointWhenOneRefuses) {
  SocketAddress dead;
  listen_on_loopback(dead).reset();
  upstream_.endpoints = {dead, inbound_address_};
  start();
  const UniqueFd caller = connect_to(outbound_address_);
  const UniqueFd served = accept_on(app_.get());
  ASSERT_TRUE(served.valid());
  EXPECT_EQ(client_.stats().cluster("db", 0).upstream_cx_connect_fail.value(), 1U);
}

TEST_F(ProxyTest, PermissiveTakesPlainTextAndMutualTlsOnOnePort) {
  service_.tls = snapshot::DownstreamTls::permissive;
  start();
  for (const SocketAddress& way : {inbound_address_, outbound_address_}) {
    const UniqueFd caller = connect_to(way);
    send_all(caller.get(), "hi");
    const UniqueFd served = accept_on(app_.get());
    char block[2];
    EXPECT_EQ(::recv(served.get(), block, 2, MSG_WAITALL), 2);
  }
}

TEST_F(ProxyTest, PermissiveServerFirstDoesNotWaitForASilentClient) {
  service_.tls = snapshot::DownstreamTls::permissive;
  service_.server_first = true;
  start();
  const UniqueFd caller = connect_to(inbound_address_);
  const UniqueFd served = accept_on(app_.get());
  ASSERT_TRUE(served.valid());
  send_all(served.get(), "hello");
  char block[5];
  EXPECT_EQ(::recv(caller.get(), block, 5, MSG_WAITALL), 5);
}

TEST_F(ProxyTest, EndsOpenConnectionsThatANewPolicyDenies) {
  const auto db = ca_.material(kDb);
  start(ca_.material(kWeb), db);
  const UniqueFd caller = connect_to(outbound_address_);
  const UniqueFd served = accept_on(app_.get());
  service_.authorization.allow.clear();
  use_server(db);
  EXPECT_EQ(read_all(caller.get()), "RESET");
  EXPECT_EQ(server_.log().wait_for(0).reason, CloseReason::policy_changed);
}

TEST_F(ProxyTest, PeersBeyondTheHandshakeLimitWaitUntilAStalledOneIsGone) {
  start();
  std::vector<UniqueFd> silent;
  for (std::uint32_t i = 0; i < kMaxHandshakes; ++i)
    silent.push_back(connect_to(inbound_address_));
  const UniqueFd caller = connect_to(outbound_address_);
  const UniqueFd served = accept_on(app_.get());
  ASSERT_TRUE(served.valid());
  for (std::uint32_t i = 0; i < kMaxHandshakes; ++i)
    EXPECT_EQ(server_.log().wait_for(i).reason, CloseReason::handshake_timeout);
}

TEST_F(ProxyTest, ServesABurstOfCallersWithoutRefusingOne) {
  start();
  constexpr std::size_t kCallers = 100;
  std::vector<UniqueFd> callers;
  for (std::size_t i = 0; i < kCallers; ++i) {
    callers.push_back(connect_to(outbound_address_));
    send_all(callers.back().get(), "x");
    ::shutdown(callers.back().get(), SHUT_WR);
  }
  for (std::size_t i = 0; i < kCallers; ++i) {
    const UniqueFd served = accept_on(app_.get());
    ASSERT_TRUE(served.valid()) << i;
    EXPECT_EQ(read_all(served.get()), "x");
  }
  for (std::size_t i = 0; i < kCallers; ++i)
    EXPECT_EQ(read_all(callers[i].get()), "") << i;
}

TEST_F(ProxyTest, WhatAConnectionHeldOfAnOldSnapshotIsFreedByTheControlThread) {
  const auto db = ca_.material(kDb);
  start(ca_.material(kWeb), db);
  UniqueFd caller = connect_to(outbound_address_);
  UniqueFd served = accept_on(app_.get());
  const std::weak_ptr<const snapshot::Listener> old = server_.snapshot().listeners.back();
  service_.authorization.deny = {{"spiffe://shop.test/other", false}};
  use_server(db);
  const auto wait_for = [this](auto wanted) {  // drops what else comes
    for (int i = 0; i < 1000; ++i) {
      for (ControlMessage& message : server_.take_messages()) {
        if (wanted(message)) return true;
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    return false;
  };
  EXPECT_TRUE(wait_for(
      [](const ControlMessage& m) { return std::holds_alternative<SnapshotReleased>(m); }));
  EXPECT_FALSE(old.expired()) << "the open connection uses it";
  caller.reset();
  served.reset();
  bool was_alive = false;
  EXPECT_TRUE(wait_for([&](const ControlMessage& m) {
    const auto* parts = std::get_if<SnapshotParts>(&m);
    was_alive = was_alive || !old.expired();
    return parts != nullptr && parts->listener && parts->listener == old.lock();
  }));
  EXPECT_TRUE(was_alive);
  EXPECT_TRUE(old.expired()) << "the message was its last owner";
}

TEST_F(ProxyTest, RotationEndsNothingAndARemovedAnchorDoes) {
  const test::TestCa next("shop.test");
  start();
  const UniqueFd caller = connect_to(outbound_address_);
  const UniqueFd served = accept_on(app_.get());
  use_server(ca_.material(kDb));  // a new key under the same anchor
  send_all(caller.get(), "still");
  char block[5];
  EXPECT_EQ(::recv(served.get(), block, 5, MSG_WAITALL), 5);
  use_server(next.material(kDb));
  EXPECT_EQ(read_all(caller.get()), "RESET");
  EXPECT_EQ(server_.log().wait_for(0).reason, CloseReason::trust_removed);
}

}  // namespace
}  // namespace mooring::proxy
