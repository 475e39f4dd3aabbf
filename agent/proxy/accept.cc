// The gather and decide phases of a connection: what was meant, which listener and cluster serve
// it, and with which protocol the downstream speaks.
#include "net/socket.h"
#include "proxy/worker_loop.h"
#include "tls/client_hello.h"

namespace mooring::proxy {

using observe::CloseReason;
using snapshot::DownstreamTls;

void Conn::begin(UniqueFd fd, SocketKind kind, const std::string& bound) {
  start_ = worker_.clock().wall();
  start_ms_ = last_active_ms_ = worker_.loop().now_ms();
  const bool gathered = gather(fd.get(), kind, bound);
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
  if (!cluster_) return finish(CloseReason::no_route);
  is_inbound() ? begin_inbound() : begin_outbound();
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
  material_ = snapshot.material;
  generation_ = snapshot.generation;
  const std::size_t cluster = snapshot.cluster_of_listener[position];
  if (cluster == snapshot::kNoMatch) {
    stats_->no_filter_chain_match.add();
  } else {
    cluster_ = snapshot.clusters[cluster];
    cluster_stats_ = worker_.stats().clusters[cluster];
  }
  return !is_self;
}

void Conn::begin_outbound() {
  if (cluster_->mtls && worker_.client_tls() == nullptr) return finish(CloseReason::no_identity);
  if (!cluster_->mtls) return connect_upstream();
  if (!worker_.handshakes_full(HandshakeRole::client, handshake_group())) {
    enter_handshake();
    return connect_upstream();
  }
  // The peer's clock runs from the connect on, so that the wait comes before it. How long is the
  // application's to decide.
  phase_ = Phase::awaiting_slot;
  worker_.wait_for_slot(HandshakeRole::client, id_, handshake_group());
}

void Conn::begin_inbound() {
  switch (listener_->tls) {
    case DownstreamTls::none:
      return connect_upstream();
    case DownstreamTls::strict:
      return start_server_handshake({});
    case DownstreamTls::permissive:
      phase_ = Phase::peeking;
      // A client that speaks first may take its time; a server that does must not wait for a silent
      // client.
      if (listener_->server_first) set_deadline(worker_.options().peek_timeout);
      downstream_.tcp->start_reading();
      return;
  }
}

void Conn::peek(Bytes bytes) {
  if (!early_) set_deadline(worker_.options().handshake_timeout);
  hold(bytes);
  if (early_->size() > tls::kMaxClientHelloBytes) return become_plain();
  const std::vector<std::byte> first = take_held();
  const tls::ClientHello hello = tls::inspect_client_hello(first);
  if (hello.is_mesh) {
    clear_deadline();
    return start_server_handshake(first);
  }
  hold(first);
  if (hello.kind != tls::FirstBytes::need_more) become_plain();
}

bool Conn::is_strict_now() const {
  const snapshot::Snapshot& snapshot = worker_.snapshot();
  const std::size_t position = snapshot.find_listener(listener_->name);
  return position != snapshot::kNoMatch &&
         snapshot.listeners[position]->tls == DownstreamTls::strict;
}

void Conn::become_plain() {
  if (is_strict_now()) return finish(CloseReason::plaintext_refused);
  clear_deadline();
  stats_->plaintext_accepted.add();
  downstream_.tcp->stop_reading();
  watches_late_tls_ = listener_->server_first && (!early_ || early_->empty());
  connect_upstream();
}

}  // namespace mooring::proxy
