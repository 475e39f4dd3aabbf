#include "proxy/conn.h"

#include <algorithm>
#include <array>
#include <cerrno>

#include "core/log.h"
#include "net/socket.h"
#include "proxy/worker_loop.h"

namespace mooring::proxy {

using observe::CloseReason;

namespace {

constexpr std::uint64_t kFarthestDeadlineMs = 60'000;

// An idle connection is this, its two streams and their TLS.
static_assert(sizeof(Conn) <= 448);

}  // namespace

Conn::Conn(WorkerLoop& worker, std::uint64_t id) : worker_(worker), id_(id) {}

Conn::~Conn() {
  worker_.send_home({generation_, std::move(listener_), std::move(cluster_)});
}

void Conn::set_deadline(Milliseconds after) {
  const std::uint64_t now = worker_.loop().now_ms();
  deadline_ms_ = now + static_cast<std::uint64_t>(after.count());
  // An entry that comes up earlier looks again. None is far off: it outlives its connection.
  const std::uint64_t due = std::min(deadline_ms_, now + kFarthestDeadlineMs);
  if (queued_deadline_ms_ != 0 && queued_deadline_ms_ <= due) return;
  queued_deadline_ms_ = due;
  worker_.deadlines().add(due, id_);
}

void Conn::touch() noexcept {
  last_active_ms_ = worker_.loop().now_ms();
}

void Conn::on_deadline() {
  const std::uint64_t now = worker_.loop().now_ms();
  queued_deadline_ms_ = 0;
  if (deadline_ms_ == 0 || phase_ == Phase::closing) return;
  if (deadline_ms_ > now) return set_deadline(Milliseconds(deadline_ms_ - now));
  deadline_ms_ = 0;
  switch (phase_) {
    case Phase::peeking:
      if (downstream_.early && !downstream_.early->empty())
        return finish(CloseReason::handshake_timeout, "first bytes incomplete");
      return end_peek();
    case Phase::awaiting_slot:
      return finish(CloseReason::handshake_limit);
    case Phase::handshaking:
      return finish(CloseReason::handshake_timeout);
    case Phase::handshaking_up:
      return fail_upstream(CloseReason::handshake_timeout, {});
    case Phase::connecting:
      if (cluster_stats_ != nullptr) cluster_stats_->upstream_cx_connect_timeout.add();
      return on_connect_failed(ETIMEDOUT);
    case Phase::relaying:
      return check_idle();
    case Phase::closing:
      return;
  }
}

void Conn::look_for_resets() {
  if (phase_ != Phase::relaying && phase_ != Phase::awaiting_slot) return;
  for (Side* side : {&downstream_, &upstream_}) {
    if (!side->tcp || side->tcp->is_reading()) continue;
    if (const int error = net::pending_error(side->tcp->fd()); error != 0)
      return on_reset(*side->tcp, error);
  }
}

bool Conn::stalls_handshake() const noexcept {
  return counts_as_handshake_ && !has_answered_ && !downstream_.early &&
         net::readable_bytes(downstream_.tcp->fd()) == 0;
}

void Conn::make_room() {
  finish(CloseReason::handshake_timeout, "others waited for its place");
}

void Conn::finish(CloseReason reason, std::string detail) {
  if (std::exchange(phase_, Phase::closing) == Phase::closing) return;
  leave_handshake();
  if (std::exchange(has_place_, false)) cluster_->connections->leave();
  worker_.write_record(record(reason, std::move(detail)));
  if (stats_ != nullptr) {
    stats_->downstream_cx_active.sub();
    stats_->closed[static_cast<std::size_t>(reason)].add();
  }
  count_upstream_end(reason == CloseReason::upstream_reset ||
                     (reason == CloseReason::closed && upstream_.read_ended));
  const bool orderly = reason == CloseReason::closed;
  for (Side* side : {&downstream_, &upstream_}) {
    // A TLS peer that is refused must get to read our alert; a reset would overtake it.
    const bool has_alert =
        side->tls && !side->tls->is_established() && reason != CloseReason::plaintext_refused;
    if (side->tcp) side->tcp->close(orderly || has_alert);
  }
  worker_.retire(*this);
}

observe::AccessRecord Conn::record(CloseReason reason, std::string detail) const {
  observe::AccessRecord out;
  out.id = id_;
  out.start = start_;
  out.duration = Milliseconds(worker_.loop().now_ms() - start_ms_);
  out.reason = reason;
  out.detail = std::move(detail);
  out.downstream_remote = downstream_remote_;
  out.downstream_local = downstream_local_;
  out.upstream_remote = upstream_remote_;
  out.upstream_local = upstream_local_;
  out.rule = rule_;
  out.shadow_rule = shadow_;
  out.bytes_received = bytes_received_;
  out.bytes_sent = bytes_sent_;
  if (connect_done_ms_ != 0) out.connect_time = Milliseconds(connect_done_ms_ - connect_start_ms_);
  if (!listener_) return out;
  out.direction = is_inbound() ? observe::Direction::inbound : observe::Direction::outbound;
  // A person knows the service by the name of the configuration.
  const std::size_t prefix = listener_->name.find('_');
  out.listener = listener_->name.substr(prefix == std::string::npos ? 0 : prefix + 1);
  if (cluster_) out.cluster = cluster_->name;
  if (chain_ != nullptr) {
    for (const snapshot::AccessLog& log : chain_->spec->access_logs)
      out.sinks.push_back({log.path, log.text_format, log.json_format, log.omit_empty_values});
  }
  const Side& secured = secured_side();
  const snapshot::Transport* transport = &secured == &upstream_ ? transport_
                                         : chain_ == nullptr    ? nullptr
                                                                : &chain_->transport;
  if (transport != nullptr && transport->part != nullptr) {
    out.local_identity = transport->part->material->id();
  } else if (const auto* own = worker_.snapshot().own_identity(); own != nullptr) {
    out.local_identity = own->spiffe_id;
  }
  if (secured.tls) {
    const tls::PeerInfo& peer = secured.tls->peer();
    out.peer_identity = peer.spiffe_id;
    out.tls_version = peer.version;
    out.tls_cipher = peer.cipher;
    out.sni = &secured == &downstream_ ? peer.sni : transport->tls->sni;
    out.tls_resumed = peer.resumed;
  }
  return out;
}

void Conn::enter_handshake(HandshakeRole role) {
  counts_as_handshake_ = true;
  handshake_role_ = role;
  worker_.enter_handshake(role, id_, handshake_group(role));
  set_deadline(worker_.options().handshake_timeout);
}

void Conn::leave_handshake() {
  if (std::exchange(counts_as_handshake_, false))
    worker_.leave_handshake(handshake_role_, handshake_group(handshake_role_));
}

void Conn::hold(Side& side, Bytes bytes) {
  if (bytes.empty()) return;
  if (!side.early) side.early = std::make_unique<ByteQueue>(worker_.pool().chunks);
  side.early->push(bytes);
}

std::vector<std::byte> Conn::take_held(Side& side) {
  std::vector<std::byte> held;
  if (!side.early) return held;
  held.reserve(side.early->size());
  std::array<iovec, 1> part{};
  while (side.early->gather(part) > 0) {
    const auto* begin = static_cast<const std::byte*>(part[0].iov_base);
    held.insert(held.end(), begin, begin + part[0].iov_len);
    side.early->pop(part[0].iov_len);
  }
  side.early.reset();
  return held;
}

void Conn::on_connected(net::TcpStream&, int error) {
  if (phase_ != Phase::connecting) return;
  if (error != 0) return on_connect_failed(error);
  if (const auto local = net::local_address(upstream_.tcp->fd())) upstream_local_ = *local;
  worker_.upstreams().opened(cluster_->name, upstream_remote_);
  upstream_counted_ = true;
  cluster_stats_->upstream_cx_total.add();
  cluster_stats_->last_connect_ms.set(worker_.loop().now_ms());
  cluster_stats_->upstream_cx_active.add();
  cluster_stats_->upstream_cx_connect_ms.record(
      static_cast<double>(worker_.loop().now_ms() - connect_start_ms_));
  if (transport_->tls != nullptr) return start_client_handshake();
  leave_handshake();
  start_relay();
}

void Conn::on_bytes(net::TcpStream& stream, Bytes bytes) {
  Side& side = side_of(stream);
  switch (phase_) {
    case Phase::peeking:
      return peek(bytes);
    case Phase::handshaking:
    case Phase::handshaking_up:
      return handshake(side, bytes);
    case Phase::relaying:
      return receive(side, bytes);
    case Phase::awaiting_slot:
    case Phase::connecting:
    case Phase::closing:
      return;  // reads are paused
  }
}

void Conn::on_eof(net::TcpStream& stream) {
  Side& side = side_of(stream);
  switch (phase_) {
    case Phase::peeking:
      side.read_ended = true;
      return end_peek();
    case Phase::handshaking:
      return finish(CloseReason::handshake_failed, "the peer ended the connection");
    case Phase::handshaking_up:
      return fail_upstream(CloseReason::upstream_reset, "the peer ended the handshake");
    case Phase::relaying: {
      if (side.read_ended) return;
      if (watches_late_tls_ && &side == &downstream_) {  // it has said all that it will
        watches_late_tls_ = false;
        deliver(downstream_, upstream_, take_held(downstream_));
        if (phase_ != Phase::relaying) return;
      }
      if (side.tls && side.tls->feed_eof().failure != tls::Failure::none)
        return finish(CloseReason::truncated);
      return end_stream(side, &side == &downstream_ ? upstream_ : downstream_);
    }
    case Phase::awaiting_slot:
    case Phase::connecting:
    case Phase::closing:
      return;
  }
}

void Conn::on_reset(net::TcpStream& stream, int error) {
  if (phase_ == Phase::closing) return;
  if (phase_ == Phase::connecting && &side_of(stream) == &upstream_)
    return on_connect_failed(error);
  const bool from_downstream = &side_of(stream) == &downstream_;
  if (phase_ == Phase::handshaking_up && !from_downstream)
    return fail_upstream(CloseReason::upstream_reset, errno_text(error));
  finish(from_downstream ? CloseReason::downstream_reset : CloseReason::upstream_reset,
         errno_text(error));
}

void Conn::on_drained(net::TcpStream& stream) {
  if (phase_ != Phase::relaying) return;
  touch();
  Side& source = &side_of(stream) == &downstream_ ? upstream_ : downstream_;
  if (!source.read_ended || source.tls) source.tcp->start_reading();
}

void Conn::on_write_closed(net::TcpStream& stream) {
  side_of(stream).fin_sent = true;
  finish_if_done();
}

}  // namespace mooring::proxy
