// What the agent knows about itself, as plain values for status, metrics and dumps. Control thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "config/model.h"
#include "core/clock.h"
#include "identity/material.h"
#include "observe/access_log.h"
#include "observe/stats.h"
#include "snapshot/build.h"
#include "snapshot/from_config.h"

namespace mooring::app {

struct ConfigState {
  std::string path;
  WallTime loaded_at;
  std::uint64_t generation = 1;
  std::string last_error;
  std::uint64_t reloads = 0;
  std::uint64_t failures = 0;
};

struct CaptureState {
  std::string state = "unknown";
  std::string backend;
  std::string problem;
  std::size_t outbound = 0;
  std::size_t inbound = 0;
  std::uint32_t repairs = 0;
};

/// One type of resources from a control plane: "listeners", "clusters", "endpoints", "secrets".
struct ResourceCount {
  std::string type;
  std::size_t served = 0;      // of this type now
  std::uint64_t accepted = 0;  // updates, since start
  std::uint64_t rejected = 0;

  friend bool operator==(const ResourceCount&, const ResourceCount&) = default;
};

struct RejectedResource {
  std::string type;
  std::string name;
  std::string field;
  std::string reason;
  bool has_last_good = false;  // its last good version is served; else its addresses are refused

  friend bool operator==(const RejectedResource&, const RejectedResource&) = default;
};

/// Names of resources of one type that an update touched.
struct ResourceChange {
  std::string type;
  std::vector<std::string> added;
  std::vector<std::string> changed;
  std::vector<std::string> removed;

  friend bool operator==(const ResourceChange&, const ResourceChange&) = default;
};

struct LastUpdate {
  WallTime at;
  std::vector<ResourceChange> changes;  // only types that changed
};

/// A secret that another SDS server than the control plane gives.
struct ServedSecret {
  std::string name;
  std::optional<WallTime> received_at;  // of this run
  std::string last_error;               // a sentence about the server, without its subject
  std::string remedy;
};

/// An SDS server beside the control plane: a SPIRE agent.
struct SecretServer {
  std::string cluster;
  std::string path;  // of its unix socket; empty: it is not known
  bool is_connected = false;
  std::string last_error;
  std::string remedy;
  std::vector<ServedSecret> secrets;
};

/// What the agent knows about the control plane that it has joined; made anew for each report.
struct ControlPlaneState {
  enum class Phase : std::uint8_t {
    connecting,     // name, TCP, TLS
    bootstrapping,  // asks who it is
    waiting,        // before the next attempt; last_error says why
    live,           // the stream is open, and the control plane has answered on it
  };
  Phase phase = Phase::connecting;
  std::string address;     // "https://cp.example:5678", of this attempt
  WallTime since;          // of the phase
  std::string last_error;  // of the last attempt that failed, also when the next one did not; a
                           // sentence of ours (discovery's Refusal or Diagnostic)
  std::string remedy;      // what to do about it; may be empty
  std::optional<WallTime> received_at;  // of the newest resources that are served
  bool is_from_disk = false;            // those are from before the start, kept in state_dir
  std::vector<ResourceCount> resources;
  std::vector<RejectedResource> rejected;
  std::vector<std::string> beyond_bounds;  // what it wants captured and capture.toml does not allow
  std::optional<LastUpdate> last_update;
  std::vector<SecretServer> secret_servers;
  std::string key_origin;             // who made the private key: "control plane", "SPIRE agent"
  std::optional<WallTime> renews_at;  // when the next certificate is expected
};
[[nodiscard]] const char* to_string(ControlPlaneState::Phase phase) noexcept;

/// An endpoint as all workers know it.
struct EndpointReport {
  std::uint64_t connections = 0;  // open
  bool is_ejected = false;        // connections to it failed lately
  bool fails_check = false;       // its active health check
};

/// All that a report is made of; made anew for each.
struct Report {
  bool ready = false;
  bool is_replaced = false;  // the installed program is another than this one
  WallTime now;
  WallTime started;
  const config::AgentConfig& config;
  const ConfigState& config_state;
  const snapshot::Snapshot& snapshot;
  const snapshot::ResolvedNames& names;
  const std::vector<snapshot::Rejected>& rejected;
  const std::string& identity_problem;
  std::optional<ControlPlaneState>
      control_plane{};  // none: the static configuration is all there is
  const observe::StatsRegistry& stats;
  CaptureState capture;
  std::vector<observe::SinkProblem> sink_problems{};  // of the access log
  std::function<EndpointReport(const std::string& cluster, const SocketAddress& address)> endpoint;
};

}  // namespace mooring::app
