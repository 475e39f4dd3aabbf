#include "app/canary.h"

#include <utility>

#include <fmt/format.h>

#include "proxy/tls_options.h"

namespace mooring::app {

namespace {

// Of a range nobody knows who is there.
std::vector<SocketAddress> hosts_of(const snapshot::Listener& listener) {
  std::vector<SocketAddress> hosts;
  for (const snapshot::DestinationMatch& match : listener.match) {
    const bool is_host = match.prefix.length == (match.prefix.base.is_v4() ? 32 : 128);
    if (is_host && match.port != 0) hosts.push_back({match.prefix.base, match.port});
  }
  return hosts;
}

std::vector<std::byte> copied(Bytes bytes) {
  return {bytes.begin(), bytes.end()};
}

std::string describe_failure(tls::Failure failure, const tls::Session& session) {
  const std::string detail = session.failure_text();
  return fmt::format("{}{}{}", tls::to_string(failure), detail.empty() ? "" : ": ", detail);
}

}  // namespace

/// One connection, with TLS where `session` is set.
class Canary::Attempt final : public net::TcpStream::Owner {
 public:
  Attempt(Canary& all, std::size_t row, std::vector<identity::NameMatcher> peers)
      : all_(all), row_(row), peers_(std::move(peers)), stream_(all.loop_, all.pool_, *this) {}

  [[nodiscard]] Result<void> secure(const std::string& sni) {
    tls::Context::ClientOptions options;
    options.sni = sni;
    options.expected_peers = peers_;
    auto made = all_.client_->make_client(options);
    if (!made) return fail(made.error());
    session_ = std::move(*made);
    return {};
  }
  void connect(const SocketAddress& target) {
    auto fd = net::make_connecting_socket(target, std::nullopt, {});
    if (!fd) return finish(describe(fd.error()));
    if (auto started = stream_.connect(std::move(*fd), target); !started)
      finish(errno_text(started.error().detail));
  }
  void finish(const std::string& problem) {
    if (std::exchange(is_done_, true)) return;
    all_.results_[row_].problem = problem;
    stream_.close(true);
    --all_.pending_;
    all_.finish_if_done();
  }

 private:
  void on_connected(net::TcpStream&, int error) override {
    if (error != 0) return finish(errno_text(error));
    if (!session_) return finish("");
    stream_.start_reading();
    take(session_->start());
  }
  void on_bytes(net::TcpStream&, Bytes bytes) override { take(session_->feed(bytes)); }
  void on_eof(net::TcpStream&) override {
    finish("the peer ended the connection during the handshake");
  }
  void on_reset(net::TcpStream&, int error) override { finish(errno_text(error)); }
  void on_drained(net::TcpStream&) override {}
  void on_write_closed(net::TcpStream&) override {}

  void take(const tls::Step& step) {
    stream_.write(step.to_peer);
    if (step.failure != tls::Failure::none)
      return finish(describe_failure(step.failure, *session_));
    if (step.handshake_done) finish("");
  }

  Canary& all_;
  std::size_t row_;
  std::vector<identity::NameMatcher> peers_;
  std::unique_ptr<tls::Session> session_;
  net::TcpStream stream_;
  bool is_done_ = false;
};

Canary::Canary(Loop& loop) : loop_(loop), limit_(loop, [this] { end(); }) {}

Canary::~Canary() = default;

void Canary::run(snapshot::SnapshotPtr snapshot, std::function<void()> then) {
  waiting_.push_back(std::move(then));
  if (std::exchange(is_running_, true)) return;
  snapshot_ = std::move(snapshot);
  begin();
}

void Canary::begin() {
  results_.clear();
  attempts_.clear();
  left_out_ = 0;
  client_.reset();
  pending_ = 1;  // until all have begun
  if (snapshot_->material) {
    auto made = tls::Context::make(tls::Role::client,
                                   snapshot_->material,
                                   proxy::tls_parameters(snapshot_->tls),
                                   scratch_,
                                   clock_);
    if (made) client_ = std::move(*made);
  }
  limit_.start(kLimit);
  try_upstreams();
  try_services();
  if (left_out_ > 0) results_.push_back({fmt::format("{} more endpoints", left_out_), "not tried"});
  --pending_;
  finish_if_done();
}

void Canary::try_upstreams() {
  for (std::size_t i = 0; i < snapshot_->listeners.size(); ++i) {
    const snapshot::Listener& listener = *snapshot_->listeners[i];
    const std::size_t position = snapshot_->cluster_of_listener[i];
    if (listener.direction != snapshot::Direction::outbound || i == snapshot::kOutboundOther ||
        position == snapshot::kNoMatch)
      continue;
    const snapshot::Cluster& cluster = *snapshot_->clusters[position];
    const std::vector<identity::NameMatcher> peers = proxy::peer_matchers(cluster.expected_peers);
    for (const SocketAddress& address :
         cluster.original_dst ? hosts_of(listener) : cluster.endpoints) {
      add(fmt::format("upstream {} at {}", cluster.name, address.to_string()),
          address,
          peers,
          cluster.mtls ? &cluster.sni : nullptr);
    }
  }
}

// The path of a captured service has no way in before capture: what can be tried is its TLS, with
// ourselves as the peer, and its application.
void Canary::try_services() {
  const std::string no_sni;
  for (std::size_t i = 0; i < snapshot_->listeners.size(); ++i) {
    const snapshot::Listener& listener = *snapshot_->listeners[i];
    if (listener.direction != snapshot::Direction::inbound || listener.cluster.empty() ||
        i == snapshot::kInboundOther)
      continue;
    const std::string name = "service " + listener.name.substr(listener.name.find('_') + 1);
    if (listener.bind && listener.tls != snapshot::DownstreamTls::none && snapshot_->material) {
      add(fmt::format("{} at {}", name, listener.bind->to_string()),
          *listener.bind,
          {{.text = snapshot_->material->id()}},
          &no_sni);
    } else if (listener.tls != snapshot::DownstreamTls::none) {
      meet_ourselves(name);
    }
    const std::size_t position = snapshot_->cluster_of_listener[i];
    if (position == snapshot::kNoMatch) continue;
    for (const SocketAddress& address : snapshot_->clusters[position]->endpoints) {
      add(fmt::format("{}, its application at {}", name, address.to_string()),
          address,
          {},
          nullptr);
    }
  }
}

void Canary::add(std::string target,
                 const SocketAddress& address,
                 std::vector<identity::NameMatcher> peers,
                 const std::string* sni) {
  if (attempts_.size() >= kMaxAttempts) {
    ++left_out_;
    return;
  }
  results_.push_back({std::move(target), "no answer in time"});
  if (sni != nullptr && !client_) {
    results_.back().problem = "this host has no identity that TLS can use";
    return;
  }
  ++pending_;
  attempts_.push_back(std::make_unique<Attempt>(*this, results_.size() - 1, std::move(peers)));
  Attempt& attempt = *attempts_.back();
  if (sni != nullptr) {
    if (auto secured = attempt.secure(*sni); !secured)
      return attempt.finish(describe(secured.error()));
  }
  attempt.connect(address);
}

void Canary::meet_ourselves(const std::string& target) {
  results_.push_back({target, "this host has no identity that TLS can use"});
  if (!client_) return;
  const std::vector<identity::NameMatcher> expected{{.text = snapshot_->material->id()}};
  tls::Context::ClientOptions options;
  options.expected_peers = expected;
  auto context = tls::Context::make(tls::Role::server,
                                    snapshot_->material,
                                    proxy::tls_parameters(snapshot_->tls),
                                    scratch_,
                                    clock_);
  auto client = client_->make_client(options);
  if (!context || !client) return;
  auto server = (*context)->make_server();
  if (!server) return;
  tls::Session* from = client->get();
  tls::Session* to = server->get();
  std::vector<std::byte> flight = copied(from->start().to_peer);
  bool is_client_done = false;
  bool is_server_done = false;
  for (int i = 0; i < 8 && !(is_client_done && is_server_done); ++i) {
    const tls::Step step = to->feed(flight);
    if (step.failure != tls::Failure::none) {
      results_.back().problem = describe_failure(step.failure, *to);
      return;
    }
    (to == client->get() ? is_client_done : is_server_done) |= step.handshake_done;
    flight = copied(step.to_peer);
    std::swap(from, to);
  }
  results_.back().problem = is_client_done && is_server_done ? "" : "the handshake does not end";
}

void Canary::finish_if_done() {
  if (is_running_ && pending_ == 0) limit_.start(Milliseconds{0});
}

void Canary::end() {
  for (const auto& attempt : attempts_)
    attempt->finish("no answer in time");
  limit_.stop();
  is_running_ = false;
  attempts_.clear();
  snapshot_.reset();
  for (const auto& then : std::exchange(waiting_, {}))
    then();
}

}  // namespace mooring::app
