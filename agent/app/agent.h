// The control loop's owner: configuration, identity, names and capture become snapshots for the
// workers; signals and the admin API steer it.
#pragma once

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "admin/routes.h"
#include "admin/server.h"
#include "app/canary.h"
#include "app/capture_control.h"
#include "app/control_plane.h"
#include "app/identity_watch.h"
#include "app/name_watch.h"
#include "app/sink_hosts.h"
#include "app/state.h"
#include "app/watchdog.h"
#include "app/workers.h"
#include "core/loop.h"
#include "observe/access_log.h"
#include "observe/prometheus.h"
#include "observe/why.h"

namespace mooring::app {

class Agent {
 public:
  /// The whole graph, serving: build.cc.
  [[nodiscard]] static Checked<std::unique_ptr<Agent>> build(const std::string& config_file,
                                                             config::AgentConfig config);
  ~Agent();
  Agent(const Agent&) = delete;
  Agent& operator=(const Agent&) = delete;

  /// Until a signal ends it in order.
  void run();

 private:
  Agent(const std::string& config_file, config::AgentConfig config);

  // agent.cc
  [[nodiscard]] admin::Readiness readiness() const;
  [[nodiscard]] snapshot::Resources static_resources(const config::AgentConfig& config) const;
  void publish();
  void publish(const snapshot::Resources& resources);
  void use(snapshot::SnapshotPtr snapshot);
  void apply_capture();
  void on_inputs_changed();
  void on_serving();
  void tell_status();
  void stop();
  void hang_up();
  void drain();

  // agent_mesh.cc: with a control plane
  [[nodiscard]] Checked<void> join_mesh(const config::ControlPlane& config);
  [[nodiscard]] Redirection redirection() const;
  void on_mesh_resources(const discovery::Changes& changes);
  void on_capture_changed();
  void rebind();

  // agent_reload.cc
  struct Reloaded {
    std::vector<Diagnostic> problems;
    std::vector<std::string> warnings;
  };
  Reloaded reload();
  [[nodiscard]] std::vector<Diagnostic> apply(config::AgentConfig next);

  // admin_handlers.cc
  [[nodiscard]] admin::Handlers handlers();
  void add_envoy_handlers(admin::Handlers& handlers);
  [[nodiscard]] Report report() const;
  [[nodiscard]] observe::ServerFacts facts() const;

  // Destroyed from the bottom: nothing below outlives what it uses.
  Loop loop_;
  config::AgentConfig config_;
  ConfigState config_state_;
  WallTime started_;
  observe::FlightRecorder recorder_;
  std::unique_ptr<observe::AccessLog> access_log_;
  std::unique_ptr<SinkHosts> sink_hosts_;
  observe::StatsRegistry stats_;
  IdentityWatch identity_;
  NameWatch names_;
  snapshot::SnapshotPtr snapshot_;
  std::vector<snapshot::Rejected> rejected_;
  std::unique_ptr<Workers> workers_;
  std::unique_ptr<CaptureControl> capture_;
  Canary canary_;
  std::unique_ptr<admin::Server> server_;
  std::unique_ptr<ControlPlane> control_plane_;  // null: the configuration says everything
  BoundAddresses bound_;                         // listeners that have their sockets
  std::set<std::string> unbound_;                // and those that cannot have theirs
  Timer rebind_;
  std::vector<std::unique_ptr<SignalWatch>> signals_;
  std::unique_ptr<Watchdog> watchdog_;
  Timer stop_deadline_;
  Timer settled_;
  std::string told_status_;  // to systemd
  bool owns_admin_socket_ = false;
  bool is_serving_ = false;  // every worker has taken its listeners
  bool is_draining_ = false;
  bool is_stopping_ = false;
};

/// mooringd: the exit code of the process.
[[nodiscard]] int run_daemon(const std::string& config_file);

/// What is wrong with the files that a configuration names.
[[nodiscard]] std::vector<Diagnostic> check_files(const config::AgentConfig& config);

}  // namespace mooring::app
