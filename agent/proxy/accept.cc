// The gather and decide phases of a connection: what was meant, which listener, filter chain and
// cluster serve it, and with which protocol the downstream speaks.
#include "core/ascii.h"
#include "http/first_bytes.h"
#include "net/socket.h"
#include "policy/choose_cluster.h"
#include "proxy/worker_loop.h"

namespace mooring::proxy {

using observe::CloseReason;

void Conn::begin(UniqueFd fd, SocketKind kind, const std::string& bound) {
  start_ = worker_.clock().wall();
  start_ms_ = last_active_ms_ = worker_.loop().now_ms();
  const bool gathered = gather(fd.get(), kind, bound);
  const bool needs_peek = (listener_->tls_inspector || listener_->http_inspector) &&
                          policy::needs_first_bytes(listener_->chains, downstream_local_);
  if (!needs_peek) choose_chain();
  downstream_.tcp = std::make_unique<net::TcpStream>(worker_.loop(), worker_.pool(), *this);
  if (auto adopted = downstream_.tcp->adopt(std::move(fd)); !adopted) {
    return finish(CloseReason::out_of_resources, describe(adopted.error()));
  }
  if (!gathered) return finish(CloseReason::self_call);
  if (worker_.is_draining()) return finish(CloseReason::draining);
  if (worker_.connections() > worker_.options().max_connections) {
    if (cluster_stats_ != nullptr) cluster_stats_->upstream_cx_overflow.add();
    return finish(CloseReason::connection_limit);
  }
  if (!needs_peek) return begin_chain();
  phase_ = Phase::peeking;
  // A client that speaks first may take its time; a server that does must not wait for a silent
  // client.
  if (listener_->server_first) set_deadline(worker_.options().peek_timeout);
  downstream_.tcp->start_reading();
}

// False: the connection was dialled to the agent itself.
bool Conn::gather(int fd, SocketKind kind, const std::string& bound) {
  const snapshot::Snapshot& snapshot = worker_.snapshot();
  if (const auto peer = net::peer_address(fd)) downstream_remote_ = *peer;
  if (const auto local = net::local_address(fd)) downstream_local_ = *local;
  std::size_t position = snapshot::kInboundOther;
  bool is_self = false;
  switch (kind) {
    case SocketKind::outbound: {
      const SocketAddress own = downstream_local_;
      const auto original = net::redirected_dst(fd, own.ip.is_v4());
      is_self = !original || original->address == own;
      if (original) downstream_local_ = original->address;
      position = snapshot.find_outbound(downstream_local_);
      break;
    }
    case SocketKind::inbound:
      // By TPROXY the socket has the address that was dialled; by REDIRECT, where a kernel lacks
      // that, it has ours.
      if (downstream_local_.port == worker_.options().inbound_port) {
        const auto original = net::redirected_dst(fd, downstream_local_.ip.is_v4());
        is_self = !original || original->address.port == worker_.options().inbound_port;
        if (!is_self) downstream_local_ = original->address;
      }
      position = snapshot.find_inbound(downstream_local_);
      break;
    case SocketKind::bound:
      position = snapshot.find_listener(bound);
      break;
  }
  if (position == snapshot::kNoMatch) position = snapshot::kInboundOther;
  listener_ = snapshot.listeners[position];
  stats_ = worker_.stats().listeners[position];
  stats_->downstream_cx_total.add();
  stats_->downstream_cx_active.add();
  generation_ = snapshot.generation;
  return !is_self;
}

policy::ChainFacts Conn::chain_facts() const noexcept {
  policy::ChainFacts facts;
  facts.destination = downstream_local_;
  if (!first_facts_) return facts;
  if (first_facts_->is_tls) facts.transport_protocol = "tls";
  facts.server_name = first_facts_->server_name;
  facts.application_protocols = first_facts_->application_protocols;
  return facts;
}

void Conn::choose_chain() {
  const std::size_t at = policy::choose_chain(listener_->chains, chain_facts());
  chain_ = at == policy::kNoChain ? nullptr : &listener_->parts[at];
  cluster_.reset();
  cluster_stats_ = nullptr;
  const bool has_cluster = chain_ != nullptr && !chain_->spec->clusters.empty();
  if (!has_cluster) return;
  const auto& clusters = chain_->spec->clusters;
  const std::size_t picked =
      clusters.size() == 1 ? 0 : policy::choose_cluster(clusters, worker_.random().next());
  const std::size_t position = worker_.snapshot().find_cluster(clusters[picked].name);
  if (position == snapshot::kNoMatch) return;
  cluster_ = worker_.snapshot().clusters[position];
  cluster_stats_ = worker_.stats().clusters[position];
}

// After a wait: what came into force meanwhile counts. True: the chain was chosen anew.
bool Conn::use_newest() {
  const snapshot::Snapshot& snapshot = worker_.snapshot();
  if (snapshot.generation == generation_) return false;
  const std::size_t position = snapshot.find_listener(listener_->name);
  if (position == snapshot::kNoMatch) return false;
  worker_.send_home({generation_, std::move(listener_), std::move(cluster_)});
  listener_ = snapshot.listeners[position];
  generation_ = snapshot.generation;
  choose_chain();
  return true;
}

// True: it has ended.
bool Conn::refuse_chain() {
  if (chain_ != nullptr && !chain_->spec->not_served.empty()) {
    finish(CloseReason::not_served, chain_->spec->not_served);
    return true;
  }
  if (cluster_) return false;
  if (chain_ != nullptr) {
    finish(CloseReason::no_endpoint, "the cluster that its filter chain names is not there");
    return true;
  }
  stats_->no_filter_chain_match.add();
  finish(listener_->chains.empty() ? CloseReason::no_route : CloseReason::no_filter_chain);
  return true;
}

void Conn::begin_chain() {
  if (refuse_chain()) return;
  for (const auto& limit : chain_->rate_limits) {
    if (!limit->take(worker_.loop().now_ms())) return finish(CloseReason::rate_limited);
  }
  serve_chain();
}

void Conn::serve_chain() {
  if (chain_->transport.tls != nullptr) return start_server_handshake();
  serve_plain();
}

void Conn::serve_plain() {
  downstream_.tcp->stop_reading();
  if (!chain_->spec->authorization.empty()) return authorize();
  begin_upstream();
}

// The peer's clock runs from the connect on, so that the wait for a handshake comes before it. How
// long is the application's to decide.
void Conn::begin_upstream() {
  if (!cluster_->may_use_tls()) return connect_upstream();
  if (cluster_->socket_matches.empty() && cluster_->transport.part == nullptr)
    return finish(CloseReason::no_identity);
  constexpr auto kRole = HandshakeRole::client;
  if (!worker_.handshakes_full(kRole, handshake_group(kRole))) {
    enter_handshake(kRole);
    return connect_upstream();
  }
  phase_ = Phase::awaiting_slot;
  handshake_role_ = kRole;
  worker_.wait_for_slot(kRole, id_, handshake_group(kRole));
}

// True: it is known what the client speaks.
bool Conn::inspect(Bytes bytes) {
  if (!listener_->tls_inspector) return inspect_http(bytes);
  switch (inspect_tls(bytes)) {
    case tls::FirstBytes::need_more:
      return false;
    case tls::FirstBytes::not_tls:
      return inspect_http(bytes);
    case tls::FirstBytes::client_hello:
      return true;
  }
  return true;
}

tls::FirstBytes Conn::inspect_tls(Bytes bytes) {
  tls::ClientHello hello = tls::inspect_client_hello(bytes);
  if (hello.kind != tls::FirstBytes::client_hello) return hello.kind;
  first_facts_ = std::make_unique<FirstFacts>();
  first_facts_->is_tls = true;
  first_facts_->server_name = lower_ascii(hello.sni);
  first_facts_->application_protocols = std::move(hello.alpn);
  return hello.kind;
}

bool Conn::inspect_http(Bytes bytes) {
  if (!listener_->http_inspector) return true;
  const char* protocol = nullptr;
  switch (http::inspect_first_bytes(bytes)) {
    case http::FirstBytes::need_more:
      return false;
    case http::FirstBytes::other:
      return true;
    case http::FirstBytes::http10:
      protocol = "http/1.0";
      break;
    case http::FirstBytes::http11:
      protocol = "http/1.1";
      break;
    case http::FirstBytes::http2:
      protocol = "h2c";
      break;
  }
  first_facts_ = std::make_unique<FirstFacts>();
  first_facts_->application_protocols = {protocol};
  return true;
}

void Conn::peek(Bytes bytes) {
  if (!downstream_.early) set_deadline(worker_.options().handshake_timeout);
  hold(downstream_, bytes);
  const std::vector<std::byte> first = take_held(downstream_);
  const bool is_known = inspect(first);
  hold(downstream_, first);
  if (is_known) end_peek();
}

void Conn::end_peek() {
  clear_deadline();
  if (!use_newest()) choose_chain();
  const bool is_plain = chain_ != nullptr && chain_->transport.tls == nullptr;
  if (chain_ != nullptr && !is_plain && downstream_.read_ended)
    return finish(CloseReason::plaintext_refused);
  watches_late_tls_ =
      is_plain && listener_->server_first && (!downstream_.early || downstream_.early->empty());
  if (is_plain && cluster_) stats_->plaintext_accepted.add();
  begin_chain();
}

}  // namespace mooring::proxy
