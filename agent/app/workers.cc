#include "app/workers.h"

#include <fmt/format.h>

#include <algorithm>
#include <random>
#include <utility>

#include "app/process.h"

namespace mooring::app {

namespace {

// In the form of envoy_listener_address: "0.0.0.0_8080", colons of IPv6 replaced too.
std::string stats_address(const SocketAddress& address) {
  std::string text = fmt::format("{}_{}", address.ip.to_string(), address.port);
  std::replace(text.begin(), text.end(), ':', '_');
  return text;
}

observe::ListenerKey key_of(const snapshot::Listener& listener, std::uint16_t other_port) {
  if (listener.bind) return {listener.name, stats_address(*listener.bind)};
  const snapshot::DestinationMatch first =
      listener.match.empty() ? snapshot::DestinationMatch{} : listener.match.front();
  if (first.prefix.length == 0 && first.port == 0)  // whatever is captured
    return {listener.name, stats_address({first.prefix.base, other_port})};
  return {listener.name, stats_address({first.prefix.base, first.port})};
}

std::uint32_t share(std::uint32_t total, std::size_t workers) {
  return std::max<std::uint32_t>(1, static_cast<std::uint32_t>((total + workers - 1) / workers));
}

}  // namespace

net::Keepalive keepalive_of(const config::AgentConfig& config) noexcept {
  return {config.timeouts.keepalive_idle, config.timeouts.keepalive_interval};
}

Workers::Workers(Loop& loop,
                 const config::AgentConfig& config,
                 observe::StatsRegistry& stats,
                 observe::AccessLog* access_log)
    : stats_(stats),
      outbound_port_(config.capture.outbound_port),
      inbound_port_(config.capture.inbound_port),
      mailbox_(loop, [this](FromWorker from) { on_message(std::move(from)); }),
      pongs_(stats.workers()),
      health_(loop,
              {.to_workers =
                   [this](const proxy::UseHealth& message) {
                     for (const auto& thread : threads_)
                       thread->post(message);
                   },
               .succeeded =
                   [this](const std::string& cluster, const SocketAddress& address) {
                     return endpoint(cluster, address).succeeded;
                   },
               .had_traffic = [this](const std::string& cluster) { return had_traffic(cluster); }},
              std::random_device{}()) {
  for (std::size_t i = 0; i < stats.workers(); ++i) {
    proxy::WorkerOptions options;
    options.index = i;
    options.max_connections = share(config.limits.connections, stats.workers());
    options.max_handshakes = share(config.limits.handshakes, stats.workers());
    options.handshake_timeout = config.timeouts.handshake;
    options.peek_timeout = config.timeouts.peek;
    options.keepalive = keepalive_of(config);
    options.outbound_port = outbound_port_;
    options.inbound_port = inbound_port_;
    options.stats = &stats.worker(i);
    options.access_log = access_log;
    options.to_control = [this, i](proxy::ControlMessage message) {
      mailbox_.post({i, std::move(message)});
    };
    threads_.push_back(std::make_unique<proxy::WorkerThread>(std::move(options)));
  }
}

void Workers::use(const snapshot::SnapshotPtr& snapshot) {
  health_.use(snapshot);
  if (listener_index_ != snapshot->listener_index || cluster_index_ != snapshot->cluster_index) {
    tables_.clear();
    for (std::size_t i = 0; i < threads_.size(); ++i)
      tables_.push_back(make_table(*snapshot, i));
    listener_index_ = snapshot->listener_index;
    cluster_index_ = snapshot->cluster_index;
  }
  for (std::size_t i = 0; i < threads_.size(); ++i)
    threads_[i]->post(proxy::UseSnapshot{snapshot, tables_[i]});
}

void Workers::add(WorkerSockets sockets) {
  for (WorkerSocket& socket : sockets)
    threads_[socket.worker]->post(std::move(socket.message));
}

void Workers::remove(const std::string& listener) {
  for (const auto& thread : threads_)
    thread->post(proxy::RemoveSocket{listener});
}

void Workers::drain(Milliseconds deadline, std::function<void()> on_done) {
  on_drained_ = std::move(on_done);
  if (drained_.size() == threads_.size() && on_drained_) return on_drained_();
  for (const auto& thread : threads_)
    thread->post(proxy::Drain{deadline});
}

void Workers::ping(std::function<void()> on_all) {
  ++pings_;
  if (on_all) {
    on_all_answered_ = std::move(on_all);
    awaited_ = pings_;
  }
  for (const auto& thread : threads_)
    thread->post(proxy::Ping{pings_});
}

std::vector<std::size_t> Workers::silent() const {
  std::vector<std::size_t> found;
  for (std::size_t i = 0; i < pongs_.size(); ++i) {
    if (pongs_[i] < pings_) found.push_back(i);
  }
  return found;
}

void Workers::on_pong(std::size_t worker, std::uint64_t number) {
  pongs_[worker] = std::max(pongs_[worker], number);
  if (!on_all_answered_) return;
  const auto has_answered = [this](std::uint64_t last) { return last >= awaited_; };
  if (std::all_of(pongs_.begin(), pongs_.end(), has_answered))
    std::exchange(on_all_answered_, nullptr)();
}

proxy::EndpointState Workers::endpoint(const std::string& cluster,
                                       const SocketAddress& address) const {
  proxy::EndpointState sum;
  for (const auto& thread : threads_) {
    const proxy::EndpointState seen = thread->endpoint(cluster, address);
    sum.connections += seen.connections;
    sum.succeeded += seen.succeeded;
  }
  return sum;
}

void Workers::on_message(FromWorker from) {
  if (std::holds_alternative<proxy::Drained>(from.message)) {
    drained_.insert(from.worker);
    if (drained_.size() == threads_.size() && on_drained_) std::exchange(on_drained_, nullptr)();
  } else if (const auto* pong = std::get_if<proxy::Pong>(&from.message)) {
    on_pong(from.worker, pong->number);
  } else if (const auto* failed = std::get_if<proxy::ConnectFailed>(&from.message)) {
    health_.connect_failed(*failed);
  }
  // SnapshotReleased, SnapshotParts: freed here with the message.
}

bool Workers::had_traffic(const std::string& cluster) {
  for (std::size_t i = 0; i < threads_.size(); ++i) {
    if (stats_.cluster(cluster, i).upstream_cx_total.value() > 0) return true;
  }
  return false;
}

std::shared_ptr<const proxy::StatsTable> Workers::make_table(const snapshot::Snapshot& snapshot,
                                                             std::size_t worker) {
  auto table = std::make_shared<proxy::StatsTable>();
  for (std::size_t i = 0; i < snapshot.listeners.size(); ++i) {
    const snapshot::Listener& listener = *snapshot.listeners[i];
    const bool is_inbound = listener.direction == snapshot::Direction::inbound;
    table->listeners.push_back(
        &stats_.listener(key_of(listener, is_inbound ? inbound_port_ : outbound_port_), worker));
  }
  for (const snapshot::ClusterPtr& cluster : snapshot.clusters) {
    table->clusters.push_back(&stats_.cluster(cluster->name, worker));
  }
  return table;
}

}  // namespace mooring::app
