// The move phase: bytes from one side to the other, each end of stream by itself, pressure back to
// the source.
#include <algorithm>
#include <array>
#include <utility>

#include "core/escape.h"
#include "proxy/worker_loop.h"

namespace mooring::proxy {

using observe::CloseReason;

namespace {

// What one read brought for this side, encrypted, may wait; beyond that are answers to a peer that
// keeps asking without reading (RFC 8446 §4.6.3).
constexpr std::size_t kMaxUnreadBytes = 2 * net::StreamPool::kReadBytes;

}  // namespace

void Conn::start_relay() {
  phase_ = Phase::relaying;
  connect_done_ms_ = worker_.loop().now_ms();
  clear_deadline();
  touch();
  const Milliseconds idle_timeout = chain_->spec->idle_timeout;
  if (idle_timeout.count() > 0) set_deadline(idle_timeout);
  tried_ = {};
  if (cluster_->outlier_detection) worker_.upstreams().succeeded(cluster_->name, upstream_remote_);
  deliver_early(downstream_, upstream_);
  deliver_early(upstream_, downstream_);
  for (Side* side : {&downstream_, &upstream_}) {
    if (phase_ == Phase::relaying && !side->read_ended) side->tcp->start_reading();
  }
  if (phase_ == Phase::relaying && downstream_.read_ended) end_stream(downstream_, upstream_);
  if (phase_ == Phase::relaying && upstream_.read_ended) end_stream(upstream_, downstream_);
}

// The client's bytes that came before the upstream was there; the server's that came with its last
// flight.
void Conn::deliver_early(Side& from, Side& to) {
  const std::unique_ptr<ByteQueue> early = std::move(from.early);
  if (!early) return;
  std::array<iovec, 1> part{};
  while (phase_ == Phase::relaying && early->gather(part) > 0) {
    deliver(from, to, {static_cast<const std::byte*>(part[0].iov_base), part[0].iov_len});
    early->pop(part[0].iov_len);
  }
}

void Conn::receive(Side& side, Bytes bytes) {
  if (side.read_ended) return;  // after close_notify nothing counts
  touch();
  Side& other = &side == &downstream_ ? upstream_ : downstream_;
  if (!side.tls) {
    if (watches_late_tls_ && &side == &downstream_) return watch_for_late_tls(bytes);
    return deliver(side, other, bytes);
  }
  for (Bytes input = bytes;;) {
    const tls::Step step = side.tls->feed(input);
    side.tcp->write(step.to_peer);
    if (!step.to_peer.empty() && side.tcp->queued() > kMaxUnreadBytes)
      return finish(CloseReason::tls_error, "the peer asks for new keys and reads nothing");
    if (!step.plain.empty()) deliver(side, other, step.plain);
    if (phase_ != Phase::relaying) return;
    if (step.failure != tls::Failure::none) {
      count_tls_failure(side, step.failure);
      return fail_record(side, step.failure);
    }
    if (step.peer_closed) return end_stream(side, other);
    if (!step.more) return;
    input = {};
  }
}

void Conn::fail_record(const Side& side, tls::Failure failure) {
  // An alert in place of the first bytes is how a TLS 1.3 server refuses a client certificate.
  const bool is_refusal =
      failure == tls::Failure::peer_alert && &side == &upstream_ && bytes_sent_ == 0;
  finish(is_refusal ? CloseReason::peer_rejected_us : CloseReason::tls_error,
         escape_peer_text(side.tls->failure_text()));
}

// A ClientHello may come in pieces; until it is known not to be the mesh's, none of it goes on.
void Conn::watch_for_late_tls(Bytes bytes) {
  hold(downstream_, bytes);
  const std::vector<std::byte> first = take_held(downstream_);
  if (inspect_tls(first) == tls::FirstBytes::need_more) return hold(downstream_, first);
  const std::size_t at = policy::choose_chain(listener_->chains, chain_facts());
  if (at != policy::kNoChain && listener_->chains[at].tls) return finish(CloseReason::late_tls);
  watches_late_tls_ = false;
  deliver(downstream_, upstream_, first);
}

void Conn::deliver(Side& from, Side& to, Bytes plain) {
  const bool from_downstream = &from == &downstream_;
  (from_downstream ? bytes_received_ : bytes_sent_) += plain.size();
  (from_downstream ? stats_->downstream_cx_rx_bytes_total : stats_->downstream_cx_tx_bytes_total)
      .add(plain.size());
  (from_downstream ? cluster_stats_->upstream_cx_tx_bytes_total
                   : cluster_stats_->upstream_cx_rx_bytes_total)
      .add(plain.size());
  if (to.write_ended) return;
  if (!to.tls) {
    to.tcp->write(plain);
  } else {
    while (!plain.empty()) {
      const Bytes part = plain.first(std::min(plain.size(), tls::Scratch::kPlainBytes));
      plain = plain.subspan(part.size());
      const tls::Step step = to.tls->write(part);
      if (step.failure != tls::Failure::none) return fail_record(to, step.failure);
      to.tcp->write(step.to_peer);
    }
  }
  // The kernel has not taken all: no more is read until it has. It still has enough to send.
  if (to.tcp->queued() > 0) from.tcp->stop_reading();
}

void Conn::end_stream(Side& from, Side& to) {
  from.read_ended = true;
  if (to.write_ended) return finish_if_done();
  to.write_ended = true;
  if (to.tls) to.tcp->write(to.tls->close_write().to_peer);
  to.tcp->close_write();
}

// A reader that is slower than its writer takes bytes for long without a read or a finished write
// of ours; it is seen by what still waits for it.
void Conn::check_idle() {
  const std::uint64_t backlog = downstream_.tcp->backlog() + upstream_.tcp->backlog();
  if (std::exchange(last_backlog_, backlog) != backlog) touch();
  const std::uint64_t idle_ms = worker_.loop().now_ms() - last_active_ms_;
  const auto limit_ms = static_cast<std::uint64_t>(chain_->spec->idle_timeout.count());
  if (idle_ms >= limit_ms) return finish(CloseReason::idle_timeout);
  set_deadline(Milliseconds(limit_ms - idle_ms));
}

void Conn::finish_if_done() {
  if (phase_ != Phase::relaying) return;
  const bool all =
      downstream_.read_ended && upstream_.read_ended && downstream_.fin_sent && upstream_.fin_sent;
  if (all) finish(CloseReason::closed);
}

}  // namespace mooring::proxy
