// The connect phase: an endpoint that takes the connection, or a typed refusal.
#include <cerrno>

#include "net/socket.h"
#include "proxy/worker_loop.h"

namespace mooring::proxy {

using observe::CloseReason;

namespace {

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

// An application must not start to trust strangers: what comes through the agent never looks like
// 127.0.0.1 or ::1, which pg_hba, MySQL grants and Tomcat valves let in.
std::optional<IpAddress> source_for(const snapshot::Cluster& cluster,
                                    const SocketAddress& target,
                                    const SocketAddress& dialled) {
  if (cluster.bind && cluster.bind->is_v4() == target.ip.is_v4()) return cluster.bind;
  if (!cluster.local || !target.ip.is_loopback()) return std::nullopt;
  if (target.ip.is_v4()) return IpAddress::v4(0x7f000006);
  if (!dialled.ip.is_v4()) return dialled.ip;
  return std::nullopt;
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
  try_next_endpoint();
}

void Conn::try_next_endpoint() {
  SocketAddress target = downstream_local_;
  transport_ = &cluster_->transport_for(nullptr);
  if (cluster_->type != snapshot::Cluster::Type::original_dst) {
    const snapshot::EndpointsPart* known = worker_.snapshot().find_endpoints(cluster_->name);
    policy::Choice choice;
    if (known == nullptr ||
        !worker_.upstreams().choose(*cluster_, *known, tried_, worker_.loop().now_ms(), choice)) {
      cluster_stats_->upstream_cx_none_healthy.add();
      if (tried_.empty()) return finish(CloseReason::no_endpoint);
      return finish(reason_of(connect_error_), errno_text(connect_error_));
    }
    if (choice.is_panic) cluster_stats_->lb_healthy_panic.add();
    target = known->list[choice.endpoint].address;
    transport_ = &cluster_->transport_for(known->list[choice.endpoint].spec);
  }
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
  if (upstream_.tcp) upstream_.tcp->close(false);
  retired_stream_ = std::move(upstream_.tcp);  // we may be in its callback
  upstream_.tcp = std::make_unique<net::TcpStream>(worker_.loop(), worker_.pool(), *this);
  set_deadline(cluster_->connect_timeout);
  if (auto started = upstream_.tcp->connect(std::move(*fd), target); !started)
    on_connect_failed(started.error().detail);
}

void Conn::on_connect_failed(int error) {
  connect_error_ = error;
  cluster_stats_->upstream_cx_connect_fail.add();
  cluster_stats_->last_connect_fail_ms.set(worker_.loop().now_ms());
  const std::uint32_t attempts = chain_->spec->max_connect_attempts;
  if (cluster_->type != snapshot::Cluster::Type::original_dst) {
    const snapshot::EndpointsPart* known = worker_.snapshot().find_endpoints(cluster_->name);
    const std::size_t endpoints = known == nullptr ? 0 : known->list.size();
    worker_.upstreams().failed(
        cluster_->name, endpoints, upstream_remote_, worker_.loop().now_ms());
    worker_.publish_membership(cluster_->name);
    if (tried_.size() < attempts && tried_.size() < endpoints) return try_next_endpoint();
  }
  if (attempts > 1) cluster_stats_->upstream_cx_connect_attempts_exceeded.add();
  finish(reason_of(error), errno_text(error));
}

}  // namespace mooring::proxy
