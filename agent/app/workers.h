// All worker threads as one: what the control thread tells them, and what it hears back.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "app/sockets.h"
#include "config/model.h"
#include "core/loop.h"
#include "core/mailbox.h"
#include "observe/access_log.h"
#include "observe/stats.h"
#include "proxy/upstream_health.h"
#include "proxy/worker.h"

namespace mooring::app {

[[nodiscard]] net::Keepalive keepalive_of(const config::AgentConfig& config) noexcept;

class Workers {
 public:
  /// Starts the threads. `stats` and `access_log` outlive this object.
  Workers(Loop& loop,
          const config::AgentConfig& config,
          observe::StatsRegistry& stats,
          observe::AccessLog* access_log);

  [[nodiscard]] std::size_t count() const noexcept { return threads_.size(); }

  void use(const snapshot::SnapshotPtr& snapshot);
  void add(WorkerSockets sockets);
  void remove(const std::string& listener);
  /// `on_done` runs once every worker has let its last connection go.
  void drain(Milliseconds deadline, std::function<void()> on_done);
  /// Asks every worker whether its loop turns. `on_all`, if given, runs once all have answered to
  /// this question and so have taken what was sent before it.
  void ping(std::function<void()> on_all = nullptr);
  /// Those that have not answered the last question yet.
  [[nodiscard]] std::vector<std::size_t> silent() const;
  /// Ends what is open and joins the threads.
  void stop() { threads_.clear(); }

  /// Connections of all workers.
  [[nodiscard]] proxy::EndpointState endpoint(const std::string& cluster,
                                              const SocketAddress& address) const;
  [[nodiscard]] const proxy::UpstreamHealth& health() const noexcept { return health_; }

 private:
  struct FromWorker {
    std::size_t worker = 0;
    proxy::ControlMessage message;
  };
  void on_message(FromWorker from);
  [[nodiscard]] bool had_traffic(const std::string& cluster);
  void on_pong(std::size_t worker, std::uint64_t number);
  [[nodiscard]] std::shared_ptr<const proxy::StatsTable> make_table(
      const snapshot::Snapshot& snapshot, std::size_t worker);

  observe::StatsRegistry& stats_;
  std::uint16_t outbound_port_;
  std::uint16_t inbound_port_;
  Mailbox<FromWorker> mailbox_;  // outlives the threads, which post to it
  std::set<std::size_t> drained_;
  std::function<void()> on_drained_;
  std::uint64_t pings_ = 0;
  std::vector<std::uint64_t> pongs_;  // the last answer of each worker
  std::function<void()> on_all_answered_;
  std::uint64_t awaited_ = 0;  // the question of on_all_answered_
  // Of the last snapshot: one that has the same names at the same positions has the same tables.
  std::vector<std::shared_ptr<const proxy::StatsTable>> tables_;
  std::shared_ptr<const snapshot::ListenerIndex> listener_index_;
  std::shared_ptr<const snapshot::ClusterIndex> cluster_index_;
  proxy::UpstreamHealth health_;
  std::vector<std::unique_ptr<proxy::WorkerThread>> threads_;
};

}  // namespace mooring::app
