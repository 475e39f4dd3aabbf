// The connect phase: an endpoint that takes the connection, or a typed refusal.
#include <algorithm>
#include <utility>

#include "net/socket.h"
#include "proxy/source_address.h"
#include "proxy/worker_loop.h"

namespace mooring::proxy {

using observe::CloseReason;

namespace {

// What a control plane may ask for beyond this ends in the same refusal.
constexpr std::uint32_t kMaxAttempts = 100;

CloseReason reason_of(int error) {
  switch (error_from_errno(error, "connect").code) {
    case Errc::timed_out:
      return CloseReason::connect_timeout;
    case Errc::unreachable:
      return CloseReason::connect_unreachable;
    case Errc::exhausted:
      return CloseReason::out_of_resources;
    default:
      return CloseReason::connect_refused;
  }
}

}  // namespace

void Conn::connect_upstream() {
  if (!cluster_->connections->enter(cluster_->circuit_breakers.max_connections)) {
    cluster_stats_->upstream_cx_overflow.add();
    return finish(CloseReason::upstream_limit);
  }
  has_place_ = true;
  phase_ = Phase::connecting;
  connect_start_ms_ = worker_.loop().now_ms();
  if (cluster_->type == snapshot::Cluster::Type::original_dst) {
    transport_ = &cluster_->transport_for(nullptr);
    return dial(downstream_local_);
  }
  if (try_next_endpoint()) return;
  cluster_stats_->upstream_cx_none_healthy.add();
  finish(CloseReason::no_endpoint);
}

// False: there is none that was not tried.
bool Conn::try_next_endpoint() {
  const std::size_t at = worker_.snapshot().find_cluster(cluster_->name);
  if (at == snapshot::kNoMatch) return false;
  const UpstreamState::Choice choice = worker_.upstreams().choose(worker_.snapshot(), at, tried_);
  if (choice.is_panic) cluster_stats_->lb_healthy_panic.add();
  if (choice.host == nullptr) return false;
  transport_ = &cluster_->transport_for(choice.host->spec);
  dial(choice.host->address);
  return true;
}

void Conn::dial(const SocketAddress& target) {
  if (transport_->tls != nullptr && worker_.tls_context(transport_->part) == nullptr)
    return finish(CloseReason::no_identity);
  tried_.push_back(target);
  upstream_remote_ = target;
  if (target.port == worker_.options().outbound_port && target.ip.is_loopback())
    return finish(CloseReason::self_call);
  if (listener_->bind && target == downstream_local_) return finish(CloseReason::self_call);
  const auto source = source_for(*cluster_, target, downstream_local_);
  if (cluster_->local && target.ip.is_loopback() && !source) {
    return finish(CloseReason::no_endpoint,
                  "called over IPv4, the application on [::1] would take the caller for this host");
  }
  auto fd = net::make_connecting_socket(target, source, worker_.options().keepalive);
  if (!fd) return finish(CloseReason::out_of_resources, describe(fd.error()));
  upstream_.tcp = std::make_unique<net::TcpStream>(worker_.loop(), worker_.pool(), *this);
  set_deadline(cluster_->connect_timeout);
  if (auto started = upstream_.tcp->connect(std::move(*fd), target); !started) {
    upstream_.tcp.reset();
    on_connect_failed(started.error().detail);
  }
}

void Conn::on_connect_failed(int error) {
  cluster_stats_->upstream_cx_connect_fail.add();
  cluster_stats_->last_connect_fail_ms.set(worker_.loop().now_ms());
  fail_upstream(reason_of(error), errno_text(error));
}

void Conn::fail_upstream(CloseReason reason, std::string detail) {
  worker_.report_failure(*cluster_, upstream_remote_);
  const std::uint32_t attempts = std::min(chain_->spec->max_connect_attempts, kMaxAttempts);
  const bool may_retry =
      cluster_->type != snapshot::Cluster::Type::original_dst && tried_.size() < attempts;
  if (may_retry) {
    let_go_of_upstream();
    phase_ = Phase::connecting;
    if (try_next_endpoint()) return;
  }
  if (attempts > 1) cluster_stats_->upstream_cx_connect_attempts_exceeded.add();
  finish(reason, std::move(detail));
}

// As if it had never been connected, but for what was counted.
void Conn::let_go_of_upstream() {
  count_upstream_end(false);
  // A TLS peer that is refused must get to read our alert; a reset would overtake it.
  if (upstream_.tcp) {
    upstream_.tcp->close(upstream_.tls != nullptr);
    retired_stream_ = std::move(upstream_.tcp);  // we may be in its callback
  }
  upstream_ = Side{};
}

void Conn::count_upstream_end(bool by_remote) {
  if (!std::exchange(upstream_counted_, false)) return;
  cluster_stats_->upstream_cx_active.sub();
  cluster_stats_->upstream_cx_destroy.add();
  (by_remote ? cluster_stats_->upstream_cx_destroy_remote
             : cluster_stats_->upstream_cx_destroy_local)
      .add();
  cluster_stats_->upstream_cx_length_ms.record(
      static_cast<double>(worker_.loop().now_ms() - connect_start_ms_));
  worker_.upstreams().closed(cluster_->name, upstream_remote_);
}

}  // namespace mooring::proxy
