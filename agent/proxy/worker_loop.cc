#include "proxy/worker_loop.h"

#include <algorithm>
#include <random>

#include "core/log.h"

namespace mooring::proxy {

using observe::CloseReason;

WorkerLoop::WorkerLoop(Loop& loop, net::StreamPool& pool, const WorkerOptions& options)
    : loop_(loop),
      pool_(pool),
      options_(options),
      random_(std::random_device{}()),
      upstreams_(random_.next()),
      deadlines_(loop,
                 [this](std::uint64_t id) {
                   if (const auto found = conns_.find(id); found != conns_.end())
                     found->second->on_deadline();
                 }),
      gate_(options.max_handshakes),
      handshake_turn_(loop, [this] { run_handshake_turn(); }),
      reaper_(loop, [this] { retired_.clear(); }),
      rechecker_(loop, [this] { recheck_some(); }),
      drain_timer_(loop,
                   [this] {
                     end_all(CloseReason::draining);
                     if (options_.to_control) options_.to_control(Drained{options_.index});
                   }),
      look_around_timer_(loop, [this] { look_around(); }),
      room_timer_(loop, [this] { make_room(); }) {
  look_around_timer_.start(options.look_around, options.look_around);
}

WorkerLoop::~WorkerLoop() = default;

void WorkerLoop::handle(WorkerMessage message) {
  if (auto* use_it = std::get_if<UseSnapshot>(&message)) return use(std::move(*use_it));
  if (const auto* health = std::get_if<UseHealth>(&message)) return use(*health);
  if (auto* socket = std::get_if<AddSocket>(&message)) return add(std::move(*socket));
  if (const auto* gone = std::get_if<RemoveSocket>(&message)) {
    for (Socket& socket : sockets_) {
      if (socket.name == gone->listener) socket.listener->accept_waiting();
    }
    std::erase_if(sockets_, [&](const Socket& socket) { return socket.name == gone->listener; });
    return;
  }
  if (const auto* drain_it = std::get_if<Drain>(&message)) return drain(drain_it->deadline);
  if (const auto* ping = std::get_if<Ping>(&message)) {
    if (options_.to_control) options_.to_control(Pong{ping->number});
    return;
  }
  stop();
}

void WorkerLoop::use(UseSnapshot message) {
  snapshot::SnapshotPtr old = std::exchange(snapshot_, std::move(message.snapshot));
  stats_ = std::move(message.stats);
  // A connection that still waits with an older part has its context made once more.
  contexts_.keep(snapshot_->tls_parts);
  const std::vector<std::size_t> changed = snapshot::changed_clusters(*snapshot_, old.get());
  upstreams_.use(*snapshot_, old.get(), changed);
  for (const std::size_t at : changed)
    publish_membership(at);
  if (old) {
    to_recheck_ = open_connections();
    if (!to_recheck_.empty()) rechecker_.start(Milliseconds(0));
    if (options_.to_control) options_.to_control(SnapshotReleased{std::move(old)});
  }
  for (AddSocket& socket : std::exchange(waiting_sockets_, {}))
    add(std::move(socket));
}

void WorkerLoop::use(const UseHealth& message) {
  upstreams_.use(message);
  if (!snapshot_) return;
  const std::size_t at = snapshot_->find_cluster(message.cluster);
  if (at != snapshot::kNoMatch) publish_membership(at);
}

void WorkerLoop::report_failure(const snapshot::Cluster& cluster, const SocketAddress& endpoint) {
  if (cluster.outlier_detection && options_.to_control)
    options_.to_control(ConnectFailed{cluster.name, endpoint});
}

void WorkerLoop::publish_membership(std::size_t cluster) {
  observe::ClusterStats& stats = *stats_->clusters[cluster];
  const UpstreamState::Membership members = upstreams_.membership(*snapshot_, cluster);
  stats.membership_total.set(members.total);
  stats.membership_healthy.set(members.healthy);
  const ClusterHealth* health = upstreams_.health(snapshot_->clusters[cluster]->name);
  stats.ejections_active.set(health == nullptr ? 0 : health->ejected.size());
  if (health != nullptr) stats.ejections_enforced_total.set(health->ejections);
}

void WorkerLoop::add(AddSocket message) {
  if (!snapshot_) {
    waiting_sockets_.push_back(std::move(message));
    return;
  }
  Socket socket;
  socket.name = message.listener;
  socket.is_inbound = message.kind == SocketKind::inbound;
  if (message.kind == SocketKind::bound) {
    const std::size_t at = snapshot_->find_listener(message.listener);
    socket.is_inbound = at != snapshot::kNoMatch &&
                        snapshot_->listeners[at]->direction == snapshot::Direction::inbound;
  }
  socket.listener = std::make_unique<net::Listener>(
      loop_,
      std::move(message.fd),
      [this, kind = message.kind, name = message.listener](UniqueFd fd) {
        accept(std::move(fd), kind, name);
      },
      [this] {
        options_.stats->accept_paused.add();
        log::warn("accepting rests: descriptors or memory ran out worker={}", options_.index);
      });
  if (is_resting_ && socket.is_inbound) socket.listener->rest();
  sockets_.push_back(std::move(socket));
}

void WorkerLoop::accept(UniqueFd fd, SocketKind kind, const std::string& bound) {
  const std::uint64_t id = (static_cast<std::uint64_t>(options_.index) << 48U) | next_id_++;
  auto conn = std::make_unique<Conn>(*this, id);
  Conn& started = *conn;
  conns_.emplace(id, std::move(conn));
  options_.stats->connections_active.set(conns_.size());
  started.begin(std::move(fd), kind, bound);
}

void WorkerLoop::enter_handshake(HandshakeRole role,
                                 std::uint64_t conn,
                                 HandshakeGate::Group group) {
  gate_.enter(role, group);
  if (role == HandshakeRole::server) {
    server_handshakes_.push_back({conn, loop_.now_ms()});
    forget_ended_handshakes();
  }
  options_.stats->handshakes_active.set(gate_.active());
  rest_if_full();
}

void WorkerLoop::leave_handshake(HandshakeRole role, HandshakeGate::Group group) {
  gate_.leave(role, group);
  options_.stats->handshakes_active.set(gate_.active());
  rest_if_full();
  expect_handshake_turn();
}

bool WorkerLoop::take_handshake_step() {
  const bool taken = gate_.take_step();
  expect_handshake_turn();
  return taken;
}

void WorkerLoop::wait_for_step(std::uint64_t conn) {
  gate_.wait_for_step(conn);
  expect_handshake_turn();
}

void WorkerLoop::wait_for_slot(HandshakeRole role, std::uint64_t conn, HandshakeGate::Group group) {
  gate_.wait_for_slot(role, conn, group);
  expect_handshake_turn();
}

void WorkerLoop::expect_handshake_turn() {
  if (turn_expected_ || !gate_.wants_turn()) return;
  turn_expected_ = true;
  handshake_turn_.start(Milliseconds(0));
}

void WorkerLoop::run_handshake_turn() {
  turn_expected_ = false;
  gate_.new_turn();
  while (const auto id = gate_.next()) {
    if (const auto found = conns_.find(*id); found != conns_.end())
      found->second->on_handshake_turn();
  }
  expect_handshake_turn();
}

void WorkerLoop::look_around() {
  if (!snapshot_) return;
  for (const std::uint64_t id : open_connections()) {
    if (const auto found = conns_.find(id); found != conns_.end()) found->second->look_for_resets();
  }
}

void WorkerLoop::forget_ended_handshakes() {
  while (!server_handshakes_.empty()) {
    const auto found = conns_.find(server_handshakes_.front().conn);
    if (found != conns_.end() && found->second->is_in_handshake()) return;
    server_handshakes_.pop_front();
  }
}

// Peers that connect and say nothing must not keep all others out: while the places are taken, the
// one that has been silent longest gives up its own.
void WorkerLoop::make_room() {
  forget_ended_handshakes();
  if (!is_resting_) return;
  for (const Begun& begun : server_handshakes_) {
    if (begun.at_ms + kHandshakePatienceMs > loop_.now_ms()) break;
    const auto found = conns_.find(begun.conn);
    if (found != conns_.end() && found->second->stalls_handshake())
      return found->second->make_room();
  }
  room_timer_.start(kMakeRoomEvery);
}

// Peers wait in the kernel's queue then. Applications of this host are not held up: not all of what
// they call needs a handshake, and those calls that do wait in the gate.
void WorkerLoop::rest_if_full() {
  const bool full = gate_.is_full(HandshakeRole::server);
  if (full == is_resting_) return;
  is_resting_ = full;
  for (Socket& socket : sockets_) {
    if (socket.is_inbound) full ? socket.listener->rest() : socket.listener->resume();
  }
  if (!full) return;
  make_room();
  options_.stats->accept_paused.add();
  log::warn("accepting from peers rests: {} TLS handshakes are under way worker={}",
            options_.max_handshakes,
            options_.index);
}

void WorkerLoop::write_record(observe::AccessRecord record) {
  if (options_.access_log != nullptr) options_.access_log->log(std::move(record));
}

void WorkerLoop::retire(Conn& conn) {
  const auto found = conns_.find(conn.id());
  if (found == conns_.end()) return;
  retired_.push_back(std::move(found->second));
  conns_.erase(found);
  options_.stats->connections_active.set(conns_.size());
  reaper_.start(Milliseconds(0));
  if (draining_ && conns_.empty()) drain_timer_.start(Milliseconds(0));
}

void WorkerLoop::send_home(SnapshotParts parts) {
  const bool is_in_force = snapshot_ && snapshot_->generation == parts.generation;
  if (!is_in_force && options_.to_control) options_.to_control(std::move(parts));
}

void WorkerLoop::recheck_some() {
  for (std::size_t i = 0; i < kRechecksPerTurn && !to_recheck_.empty(); ++i) {
    const auto found = conns_.find(to_recheck_.back());
    to_recheck_.pop_back();
    if (found != conns_.end()) found->second->recheck(*snapshot_);
  }
  if (!to_recheck_.empty()) rechecker_.start(Milliseconds(0));
}

void WorkerLoop::drain(Milliseconds deadline) {
  draining_ = true;
  drain_timer_.start(conns_.empty() ? Milliseconds(0) : deadline);
}

std::vector<std::uint64_t> WorkerLoop::open_connections() const {
  std::vector<std::uint64_t> ids;
  ids.reserve(conns_.size());
  for (const auto& [id, conn] : conns_)
    ids.push_back(id);
  return ids;
}

void WorkerLoop::end_all(CloseReason reason) {
  for (const std::uint64_t id : open_connections()) {
    if (const auto found = conns_.find(id); found != conns_.end()) found->second->finish(reason);
  }
}

void WorkerLoop::stop() {
  sockets_.clear();
  end_all(CloseReason::draining);
  retired_.clear();
  loop_.stop();
}

}  // namespace mooring::proxy
