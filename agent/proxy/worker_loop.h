// The inside of a worker: everything here belongs to its thread.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/loop.h"
#include "core/mailbox.h"
#include "net/listener.h"
#include "net/stream.h"
#include "policy/random.h"
#include "proxy/conn.h"
#include "proxy/deadlines.h"
#include "proxy/handshake_gate.h"
#include "proxy/tls_contexts.h"
#include "proxy/upstream_state.h"
#include "proxy/worker.h"

namespace mooring::proxy {

class WorkerLoop {
 public:
  WorkerLoop(Loop& loop, net::StreamPool& pool, const WorkerOptions& options);
  ~WorkerLoop();
  WorkerLoop(const WorkerLoop&) = delete;
  WorkerLoop& operator=(const WorkerLoop&) = delete;

  void handle(WorkerMessage message);

  // For connections.
  [[nodiscard]] Loop& loop() noexcept { return loop_; }
  [[nodiscard]] net::StreamPool& pool() noexcept { return pool_; }
  [[nodiscard]] const WorkerOptions& options() const noexcept { return options_; }
  [[nodiscard]] const snapshot::Snapshot& snapshot() const noexcept { return *snapshot_; }
  [[nodiscard]] const StatsTable& stats() const noexcept { return *stats_; }
  [[nodiscard]] UpstreamState& upstreams() noexcept { return upstreams_; }
  [[nodiscard]] Deadlines& deadlines() noexcept { return deadlines_; }
  [[nodiscard]] policy::Random& random() noexcept { return random_; }
  [[nodiscard]] const Clock& clock() const noexcept { return clock_; }
  /// Made when it is first asked for. Null for null, and for material that TLS does not take.
  [[nodiscard]] tls::Context* tls_context(const snapshot::TlsPartPtr& part) {
    return contexts_.get(part).get();
  }
  [[nodiscard]] bool is_draining() const noexcept { return draining_; }
  [[nodiscard]] std::size_t connections() const noexcept { return conns_.size(); }
  [[nodiscard]] bool handshakes_full(HandshakeRole role,
                                     HandshakeGate::Group group) const noexcept {
    return gate_.is_full(role, group);
  }
  void enter_handshake(HandshakeRole role, std::uint64_t conn, HandshakeGate::Group group);
  void leave_handshake(HandshakeRole role, HandshakeGate::Group group);
  [[nodiscard]] bool take_handshake_step();
  void wait_for_step(std::uint64_t conn);
  void wait_for_slot(HandshakeRole role, std::uint64_t conn, HandshakeGate::Group group);
  void write_record(observe::AccessRecord record);
  void report_failure(const snapshot::Cluster& cluster, const SocketAddress& endpoint);
  /// Destroys a finished connection after the callbacks of this turn.
  void retire(Conn& conn);
  /// Drops what a connection held of a snapshot. Unless that snapshot is in force, this may be its
  /// last owner, so that it goes to the control thread: a worker frees none of it.
  void send_home(SnapshotParts parts);

 private:
  static constexpr std::size_t kRechecksPerTurn = 256;
  /// Where others wait, a peer has this long to begin its handshake.
  static constexpr std::uint64_t kHandshakePatienceMs = 2000;
  static constexpr Milliseconds kMakeRoomEvery{500};

  void use(UseSnapshot message);
  void use(const UseHealth& message);
  void publish_membership(std::size_t cluster);
  void add(AddSocket message);
  void accept(UniqueFd fd, SocketKind kind, const std::string& bound);
  void recheck_some();
  [[nodiscard]] std::vector<std::uint64_t> open_connections() const;
  void look_around();
  void rest_if_full();
  void make_room();
  void forget_ended_handshakes();
  void expect_handshake_turn();
  void run_handshake_turn();
  void drain(Milliseconds deadline);
  void end_all(observe::CloseReason reason);
  void stop();

  struct Socket {
    std::string name;
    bool is_inbound = false;
    std::unique_ptr<net::Listener> listener;
  };
  Loop& loop_;
  net::StreamPool& pool_;
  const WorkerOptions& options_;
  Clock clock_;
  TlsContexts contexts_;
  snapshot::SnapshotPtr snapshot_;
  std::shared_ptr<const StatsTable> stats_;
  policy::Random random_;
  UpstreamState upstreams_;
  Deadlines deadlines_;
  std::vector<Socket> sockets_;
  std::vector<AddSocket> waiting_sockets_;  // until the first snapshot
  std::unordered_map<std::uint64_t, std::unique_ptr<Conn>> conns_;
  std::vector<std::unique_ptr<Conn>> retired_;
  std::vector<std::uint64_t> to_recheck_;
  std::uint64_t next_id_ = 1;
  HandshakeGate gate_;
  struct Begun {
    std::uint64_t conn = 0;
    std::uint64_t at_ms = 0;
  };
  std::deque<Begun> server_handshakes_;  // oldest first; some of them have ended
  bool turn_expected_ = false;
  bool is_resting_ = false;
  bool draining_ = false;
  Timer handshake_turn_;
  Timer reaper_;
  Timer rechecker_;
  Timer drain_timer_;
  Timer look_around_timer_;
  Timer room_timer_;
};

}  // namespace mooring::proxy
