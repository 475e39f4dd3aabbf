// One worker: a thread with a loop, listeners, connections, counters and the snapshot in force. The
// control thread speaks to it by messages, and reads its counters.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <variant>
#include <vector>

#include "core/clock.h"
#include "core/fd.h"
#include "core/mailbox.h"
#include "net/socket.h"
#include "observe/access_log.h"
#include "observe/stats.h"
#include "snapshot/snapshot.h"

namespace mooring::proxy {

/// This worker's counter blocks, at the snapshot's positions.
struct StatsTable {
  std::vector<observe::ListenerStats*> listeners;
  std::vector<observe::ClusterStats*> clusters;
};

enum class SocketKind : std::uint8_t {
  outbound,  // captured by redirect
  inbound,   // captured by TPROXY
  bound,     // a listener's own address
};

/// To a worker.
struct UseSnapshot {
  snapshot::SnapshotPtr snapshot;
  std::shared_ptr<const StatsTable> stats;
};
struct AddSocket {
  SocketKind kind = SocketKind::outbound;
  UniqueFd fd;
  std::string listener;  // bound: the snapshot's listener
};
struct RemoveSocket {
  std::string listener;  // bound ones only; capture's sockets stay until the end
};
/// Refuses new connections; open ones may end by themselves until `deadline` has passed.
struct Drain {
  Milliseconds deadline{0};
};
/// Answered by Pong in a turn of the loop, after everything that was sent before.
struct Ping {
  std::uint64_t number = 0;
};
/// What the control thread found out about a cluster's endpoints. Each list is sorted.
struct ClusterHealth {
  std::vector<SocketAddress> ejected;  // connections to them fail
  std::vector<SocketAddress> failed;  // their health checks do, or they are new and not checked yet
  std::uint64_t ejections = 0;        // so far

  friend bool operator==(const ClusterHealth&, const ClusterHealth&) = default;
};
struct UseHealth {
  std::string cluster;
  std::shared_ptr<const ClusterHealth> health;  // null: nothing is known against any of them
};
/// Ends what is open and leaves the loop.
struct Stop {};
using WorkerMessage =
    std::variant<UseSnapshot, UseHealth, AddSocket, RemoveSocket, Drain, Ping, Stop>;

/// From a worker; called on the worker's thread, so that it is to post to a mailbox and nothing
/// else.
struct SnapshotReleased {
  snapshot::SnapshotPtr snapshot;  // freed by the control thread
};
/// What a connection held of a snapshot that is not in force any more; freed by the control thread.
struct SnapshotParts {
  std::uint64_t generation = 0;  // the snapshot's
  snapshot::ListenerPtr listener;
  snapshot::ClusterPtr cluster;
};
struct Drained {
  std::size_t worker = 0;
};
struct Pong {
  std::uint64_t number = 0;
};
/// A connection to an endpoint of a cluster with outlier detection did not come about.
struct ConnectFailed {
  std::string cluster;
  SocketAddress endpoint;
};
using ControlMessage = std::variant<SnapshotReleased, SnapshotParts, Drained, Pong, ConnectFailed>;

/// An endpoint of a cluster in the eyes of one worker.
struct EndpointState {
  std::uint64_t connections = 0;  // open
  std::uint64_t succeeded = 0;    // came about so far; where outlier detection asks for it
};

struct WorkerOptions {
  std::size_t index = 0;
  std::uint32_t max_connections = 100000;  // of this worker
  std::uint32_t max_handshakes = 1000;
  Milliseconds handshake_timeout{10000};
  Milliseconds peek_timeout{100};
  Milliseconds look_around{15000};  // for what no event tells
  net::Keepalive keepalive;
  std::uint16_t outbound_port = 15001;
  std::uint16_t inbound_port = 15006;
  observe::WorkerStats* stats = nullptr;     // outlives the worker
  observe::AccessLog* access_log = nullptr;  // outlives the worker; null: none
  std::function<void(ControlMessage)> to_control;
};

/// Starts the thread. Destruction sends Stop and joins.
class WorkerThread {
 public:
  explicit WorkerThread(WorkerOptions options);
  ~WorkerThread();
  WorkerThread(const WorkerThread&) = delete;
  WorkerThread& operator=(const WorkerThread&) = delete;

  void post(WorkerMessage message);
  [[nodiscard]] EndpointState endpoint(const std::string& cluster,
                                       const SocketAddress& address) const;

 private:
  struct Shared;
  std::unique_ptr<Shared> shared_;
  std::thread thread_;
};

}  // namespace mooring::proxy
