// Two workers in one process for component tests and benchmarks: the first speaks mutual TLS to the
// second over loopback, as two hosts' agents do. The application's two ends are blocking sockets.
#pragma once

#include <condition_variable>
#include <csignal>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "core/fd.h"
#include "proxy/worker.h"
#include "snapshot/build.h"
#include "support/pki.h"
#include "tls/session.h"

namespace mooring::test {

inline constexpr const char* kWeb = "spiffe://shop.test/web";
inline constexpr const char* kDb = "spiffe://shop.test/db";

/// A listening socket on a free port, which is written to `address`.
UniqueFd listen_on_loopback(SocketAddress& address);
/// A blocking socket with a timeout, so that a test that hangs fails.
UniqueFd connect_to(const SocketAddress& address);
/// Invalid when nobody came for ten seconds.
UniqueFd accept_on(int listening);
/// Reads until the end of stream; "RESET" or "TIMEOUT" behind it where it ends by one.
std::string read_all(int fd);
void send_all(int fd, std::string_view text);
/// Sends, then reads all. The first call after a reset hears of it, and no other.
std::string ask(int fd, std::string_view text);

/// False when it did not come true within ten seconds.
template <typename Condition>
bool wait_until(Condition condition) {
  for (int i = 0; i < 1000; ++i) {
    if (condition()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return condition();
}

/// Keeps every record.
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

/// One agent: a worker and what the control thread would do for it.
class Agent {
 public:
  Agent(Milliseconds handshake_timeout,
        std::uint32_t max_handshakes,
        std::uint32_t max_connections = 100000)
      : stats_(1) {
    proxy::WorkerOptions options;
    options.stats = &stats_.worker(0);
    options.access_log = &log_;
    options.handshake_timeout = handshake_timeout;
    options.max_handshakes = max_handshakes;
    options.max_connections = max_connections;
    options.look_around = Milliseconds(50);
    options.to_control = [this](proxy::ControlMessage message) {
      const std::lock_guard lock(mutex_);
      to_control_.push_back(std::move(message));
    };
    worker_ = std::make_unique<proxy::WorkerThread>(std::move(options));
  }

  void use(const snapshot::Resources& resources, identity::MaterialPtr material) {
    snapshot_ = snapshot::build(resources, std::move(material), snapshot_.get()).snapshot;
    auto table = std::make_shared<proxy::StatsTable>();
    for (const auto& listener : snapshot_->listeners)
      table->listeners.push_back(&stats_.listener({listener->name, ""}, 0));
    for (const auto& cluster : snapshot_->clusters)
      table->clusters.push_back(&stats_.cluster(cluster->name, 0));
    worker_->post(proxy::UseSnapshot{snapshot_, table});
  }
  void listen(const std::string& listener, UniqueFd fd) {
    net::set_proxy_options(fd.get(), {});
    worker_->post(proxy::AddSocket{proxy::SocketKind::bound, std::move(fd), listener});
  }
  Log& log() { return log_; }
  observe::StatsRegistry& stats() { return stats_; }
  const snapshot::Snapshot& snapshot() const { return *snapshot_; }
  /// True once the worker has let go of a snapshot, so that the next one is in force. Messages that
  /// came before are dropped.
  bool wait_for_release() {
    return wait_until([this] {
      for (const proxy::ControlMessage& message : take_messages()) {
        if (std::holds_alternative<proxy::SnapshotReleased>(message)) return true;
      }
      return false;
    });
  }
  /// What the worker has sent to the control thread since the last call.
  std::vector<proxy::ControlMessage> take_messages() {
    const std::lock_guard lock(mutex_);
    return std::exchange(to_control_, {});
  }

 private:
  observe::StatsRegistry stats_;
  Log log_;
  std::mutex mutex_;
  std::vector<proxy::ControlMessage> to_control_;
  snapshot::SnapshotPtr snapshot_;
  std::unique_ptr<proxy::WorkerThread> worker_;
};

/// A mesh client made by hand, to stop where it likes.
class MeshClient {
 public:
  explicit MeshClient(identity::MaterialPtr material)
      : context_(tls::Context::make(tls::Role::client, std::move(material), {}, scratch_, clock_)
                     .value()),
        session_(context_->make_client({}).value()) {}
  std::string hello() { return text(session_->start().to_peer); }
  /// What it answers to this.
  std::string feed(std::string_view bytes) {
    return text(session_->feed(std::as_bytes(std::span(bytes))).to_peer);
  }
  bool is_established() const { return session_->is_established(); }

 private:
  static std::string text(Bytes bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }
  Clock clock_;
  tls::Scratch scratch_;
  std::unique_ptr<tls::Context> context_;
  std::unique_ptr<tls::Session> session_;
};

/// An application that is called, its agent, and the caller's agent.
class ProxyPair {
 public:
  static constexpr std::uint32_t kMaxHandshakes = 4;  // of the server

  explicit ProxyPair(Milliseconds handshake_timeout = Milliseconds(1000),
                     std::uint32_t max_connections = 100000)  // of the server
      : app_(listen_on_loopback(app_address_)),
        server_(handshake_timeout, kMaxHandshakes, max_connections) {
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
    use_client(std::move(web));
  }
  void use_client(identity::MaterialPtr web) {
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
    return ask(caller.get(), "hello");
  }

  test::TestCa ca_{"shop.test"};
  SocketAddress app_address_;
  SocketAddress inbound_address_;
  SocketAddress outbound_address_;
  UniqueFd app_;
  snapshot::Listener service_;
  snapshot::Cluster upstream_;
  Agent server_;
  Agent client_{Milliseconds(20000), 1000};  // outlasts what stalls the server
};

}  // namespace mooring::test
