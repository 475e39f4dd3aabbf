#include "app/canary.h"

#include <set>
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

constexpr const char* kNoIdentity = "this host has no identity that TLS can use";

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
  Attempt(Canary& all, std::size_t row)
      : all_(all), row_(row), stream_(all.loop_, all.pool_, *this) {}

  [[nodiscard]] Result<void> secure(tls::Context& context, const snapshot::Transport& transport) {
    peers_ = transport.peer_names;
    tls::Context::ClientOptions options = proxy::client_options(transport);
    options.expected_peers = peers_;
    auto made = context.make_client(options);
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
  contexts_.keep({});
  pending_ = 1;  // until all have begun
  limit_.start(kLimit);
  try_upstreams();
  try_services();
  if (left_out_ > 0) results_.push_back({fmt::format("{} more endpoints", left_out_), "not tried"});
  --pending_;
  finish_if_done();
}

void Canary::try_upstreams() {
  for (std::size_t i = 0; i < snapshot_->listeners.size(); ++i) {
    const snapshot::ListenerPart& listener = *snapshot_->listeners[i];
    if (listener.direction != snapshot::Direction::outbound || i == snapshot::kOutboundOther)
      continue;
    std::set<std::string> names;
    for (const snapshot::FilterChain& chain : listener.chains) {
      for (const snapshot::WeightedCluster& cluster : chain.clusters)
        names.insert(cluster.name);
    }
    for (const std::string& name : names)
      try_upstream(listener, name);
  }
}

void Canary::try_upstream(const snapshot::Listener& listener, const std::string& name) {
  const std::size_t at = snapshot_->find_cluster(name);
  if (at == snapshot::kNoMatch) return;
  const snapshot::ClusterPart& cluster = *snapshot_->clusters[at];
  const auto target = [&](const SocketAddress& address) {
    return fmt::format("upstream {} at {}", name, address.to_string());
  };
  if (cluster.type == snapshot::Cluster::Type::original_dst) {
    for (const SocketAddress& address : hosts_of(listener))
      add(target(address), address, cluster.transport_for(nullptr));
    return;
  }
  for (const snapshot::Endpoint& endpoint : snapshot_->endpoints[at]->list)
    add(target(endpoint.address), endpoint.address, cluster.transport_for(endpoint.spec));
}

// The path of a captured service has no way in before capture: what can be tried is its TLS, with
// ourselves as the peer, and its application.
void Canary::try_services() {
  for (std::size_t i = 0; i < snapshot_->listeners.size(); ++i) {
    const snapshot::ListenerPart& listener = *snapshot_->listeners[i];
    if (listener.direction != snapshot::Direction::inbound || i == snapshot::kInboundOther)
      continue;
    const std::string name = "service " + listener.name.substr(listener.name.find('_') + 1);
    for (const snapshot::ChainPart& chain : listener.parts) {
      if (chain.transport.tls != nullptr) try_service(listener, chain.transport, name);
    }
    if (listener.chains.empty()) continue;
    for (const snapshot::WeightedCluster& cluster : listener.chains.front().clusters)
      try_application(cluster.name, name);
  }
}

void Canary::try_service(const snapshot::Listener& listener,
                         const snapshot::Transport& transport,
                         const std::string& name) {
  if (!listener.bind || transport.part == nullptr) return meet_ourselves(transport, name);
  const std::string target = fmt::format("{} at {}", name, listener.bind->to_string());
  add(target, *listener.bind, our_client(transport));
}

void Canary::try_application(const std::string& cluster, const std::string& name) {
  const snapshot::EndpointsPart* endpoints = snapshot_->find_endpoints(cluster);
  if (endpoints == nullptr) return;
  for (const snapshot::Endpoint& endpoint : endpoints->list) {
    add(fmt::format("{}, its application at {}", name, endpoint.address.to_string()),
        endpoint.address,
        {});
  }
}

void Canary::add(std::string target,
                 const SocketAddress& address,
                 const snapshot::Transport& transport) {
  if (attempts_.size() >= kMaxAttempts) {
    ++left_out_;
    return;
  }
  results_.push_back({std::move(target), "no answer in time"});
  tls::Context* with = contexts_.get(transport.part).get();
  if (transport.tls != nullptr && with == nullptr) {
    results_.back().problem = kNoIdentity;
    return;
  }
  ++pending_;
  attempts_.push_back(std::make_unique<Attempt>(*this, results_.size() - 1));
  Attempt& attempt = *attempts_.back();
  if (transport.tls != nullptr) {
    if (auto secured = attempt.secure(*with, transport); !secured)
      return attempt.finish(describe(secured.error()));
  }
  attempt.connect(address);
}

// What a peer would speak to a service with, if it had this host's identity.
snapshot::Transport Canary::our_client(const snapshot::Transport& server) {
  static const snapshot::TlsContext kContext = [] {
    snapshot::TlsContext context;
    context.alpn = {"kuma"};
    return context;
  }();
  snapshot::TlsPart part = *server.part;
  part.is_server = false;
  snapshot::Transport client;
  client.tls = &kContext;
  client.part = std::make_shared<const snapshot::TlsPart>(std::move(part));
  client.peer_names = {{.text = client.part->material->id()}};
  return client;
}

void Canary::meet_ourselves(const snapshot::Transport& transport, const std::string& target) {
  results_.push_back({target, kNoIdentity});
  if (transport.part == nullptr) return;
  const snapshot::Transport ours = our_client(transport);
  tls::Context* client_context = contexts_.get(ours.part).get();
  tls::Context* server_context = contexts_.get(transport.part).get();
  if (client_context == nullptr || server_context == nullptr) return;
  auto client = client_context->make_client(proxy::client_options(ours));
  auto server = server_context->make_server();
  if (!client || !server) return;
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
