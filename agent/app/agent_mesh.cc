// An agent whose resources come from a control plane.
#include <utility>

#include "admin/listen.h"
#include "app/agent.h"
#include "app/reload.h"
#include "core/log.h"
#include "net/socket.h"
#include "snapshot/names.h"

namespace mooring::app {

namespace {

constexpr Milliseconds kRebindEvery{5000};

bool has_ipv6() {
  return net::make_listener({IpAddress::v6_loopback(), 0}, {}).has_value();
}

}  // namespace

Checked<void> Agent::join_mesh(const config::ControlPlane& config) {
  // For those who watch the host by Kuma's port.
  const SocketAddress readiness{IpAddress::v4_loopback(), config.readiness_port};
  if (auto fd = admin::listen_tcp(readiness)) {
    server_->add_metrics(std::move(*fd));
  } else {
    log::warn(
        "nobody can ask for readiness at {}: {}", readiness.to_string(), describe(fd.error()));
  }
  control_plane_ = std::make_unique<ControlPlane>(
      loop_,
      config,
      config_.services,
      *server_,
      ControlPlane::Effects{
          [this](const discovery::Changes& changes) { on_mesh_resources(changes); },
          [this] { tell_status(); },
          [this](const observe::PrometheusOptions& options) {
            return observe::render_prometheus(stats_, facts(), options);
          }});
  return control_plane_->start(redirection(), capture_->is_settled());
}

// What is said to be redirected has to be: without mooring-net the control plane gives listeners
// with sockets of their own.
Redirection Agent::redirection() const {
  static const bool kHasIpv6 = has_ipv6();
  Redirection made;
  const bool is_captured = config_.capture.enabled && capture_->has_sockets();
  made.inbound = made.outbound = is_captured;
  made.dns = is_captured && capture_->redirects_dns() && control_plane_->dns_problem().empty();
  made.ipv6 = kHasIpv6;
  made.inbound_port = config_.capture.inbound_port;
  made.outbound_port = config_.capture.outbound_port;
  if (config_.control_plane) made.dns_port = config_.control_plane->dns_port;
  return made;
}

void Agent::on_capture_changed() {
  if (control_plane_ && !is_stopping_) {
    control_plane_->set_redirection(redirection());
    if (capture_->is_settled()) control_plane_->settle();
  }
  tell_status();
}

// Endpoints come and go by far the most often. What they and secrets change needs a snapshot and
// nothing else. Listeners accept before anything is captured for them.
void Agent::on_mesh_resources(const discovery::Changes& changes) {
  if (is_stopping_) return;
  if (!changes.of(discovery::ResourceKind::cluster).empty())
    names_.set_names(snapshot::host_names(control_plane_->resources()));
  if (snapshot_ && changes.only(discovery::ResourceKind::endpoints)) {
    const auto endpoints =
        control_plane_->endpoints(changes.of(discovery::ResourceKind::endpoints));
    use(snapshot::with_endpoints(*snapshot_, endpoints, names_.names()));
  } else {
    publish();
  }
  if (!changes.of(discovery::ResourceKind::listener).empty()) {
    rebind();
    apply_capture();
  }
  tell_status();
}

// One that cannot be had leaves the others alone, and is tried again.
void Agent::rebind() {
  const BoundChange change = bound_change(bound_, bound_addresses(control_plane_->resources()));
  for (const std::string& listener : change.to_close) {
    workers_->remove(listener);
    bound_.erase(listener);
  }
  std::set<std::string> unbound;
  for (const auto& [listener, address] : change.to_open) {
    auto opened = open_bound({{listener, address}}, {stats_.workers(), keepalive_of(config_)});
    if (opened) {
      workers_->add(std::move(*opened));
      bound_[listener] = address;
      continue;
    }
    if (!unbound_.contains(listener))
      log::error("listener {}: {}", listener, describe(opened.error()));
    unbound.insert(listener);
  }
  unbound_ = std::move(unbound);
  if (!unbound_.empty()) rebind_.start(kRebindEvery);
}

}  // namespace mooring::app
