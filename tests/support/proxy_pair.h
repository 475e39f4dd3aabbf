// Two workers in one process for component tests and benchmarks: the first speaks mutual TLS to the
// second over loopback, as two hosts' agents do. The application's two ends are blocking sockets.
#pragma once

#include <algorithm>
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
#include "snapshot/from_config.h"
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
  std::vector<observe::SinkProblem> sink_problems() override { return {}; }
  std::optional<std::string> next_wanted_host() override { return std::nullopt; }
  void tell(observe::SinkHost) override {}

  observe::AccessRecord wait_for(std::size_t index) {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, std::chrono::seconds(10), [&] { return records_.size() > index; });
    return records_.size() > index ? records_[index] : observe::AccessRecord{};
  }
  /// The first that ended so; the order of several connections' ends is not a test's to know.
  observe::AccessRecord wait_for(observe::CloseReason reason) {
    std::unique_lock lock(mutex_);
    auto found = records_.end();
    changed_.wait_for(lock, std::chrono::seconds(10), [&] {
      found = std::find_if(records_.begin(), records_.end(), [&](const auto& record) {
        return record.reason == reason;
      });
      return found != records_.end();
    });
    return found != records_.end() ? *found : observe::AccessRecord{};
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

  /// `identity` empty: none.
  void use(snapshot::Resources resources, const identity::MaterialText& identity) {
    if (!identity.svid_pem.empty()) resources.secrets = snapshot::secrets_from(identity);
    snapshot_ = snapshot::build(resources, snapshot_.get()).snapshot;
    auto table = std::make_shared<proxy::StatsTable>();
    for (const auto& listener : snapshot_->listeners)
      table->listeners.push_back(&stats_.listener({listener->name, ""}, 0));
    for (const auto& cluster : snapshot_->clusters)
      table->clusters.push_back(&stats_.cluster(cluster->name, 0));
    worker_->post(proxy::UseSnapshot{snapshot_, table});
  }
  void use(const std::string& cluster, const proxy::ClusterHealth& health) {
    worker_->post(proxy::UseHealth{cluster, std::make_shared<const proxy::ClusterHealth>(health)});
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
  explicit MeshClient(identity::MaterialPtr material, std::string_view sni = {})
      : context_(tls::Context::make(tls::Role::client, std::move(material), {}, scratch_, clock_)
                     .value()),
        session_(context_->make_client({.sni = sni}).value()) {}
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
    service_.name = "db";
    service_.listen = inbound_address_;
    service_.target = app_address_;
    service_.allow = {{kWeb, false}};
    upstream_.name = "db";
    upstream_.endpoints = {endpoint(inbound_address_)};
    upstream_.spiffe_ids = {{kDb, false}};
    server_.listen("inbound_db", std::move(inbound));
    client_.listen("outbound_db", std::move(outbound));
  }

  static config::EndpointAddress endpoint(const SocketAddress& address) { return {address, "", 0}; }
  /// An upstream that is not captured, but has a socket of its own.
  static void add(snapshot::Resources& to,
                  const config::Upstream& upstream,
                  const SocketAddress& bind) {
    config::AgentConfig config;
    config.capture.other = config::OtherTraffic::refuse;
    config.upstreams = {upstream};
    snapshot::Resources made = snapshot::resources_from(config, {});
    made.listeners.front().bind = bind;
    to.listeners.push_back(std::move(made.listeners.front()));
    to.clusters.push_back(std::move(made.clusters.front()));
  }
  static snapshot::Resources resources_of(const config::Service& service) {
    config::AgentConfig config;
    config.services = {service};
    return snapshot::resources_from(config, {});
  }

  void start() { start(ca_.text(kWeb), ca_.text(kDb)); }
  void start(const identity::MaterialText& web, const identity::MaterialText& db) {
    use_server(db);
    use_client(web);
  }
  void use_client(const identity::MaterialText& web) {
    snapshot::Resources resources;
    add(resources, upstream_, outbound_address_);
    client_.use(std::move(resources), web);
  }
  void use_server(const identity::MaterialText& db) { server_.use(resources_of(service_), db); }
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
  config::Service service_;
  config::Upstream upstream_;
  Agent server_;
  Agent client_{Milliseconds(20000), 1000};  // outlasts what stalls the server
};

}  // namespace mooring::test
