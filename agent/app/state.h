// What the agent knows about itself, as plain values for status, metrics and dumps. Control thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "config/model.h"
#include "core/clock.h"
#include "identity/material.h"
#include "observe/stats.h"
#include "proxy/worker.h"
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
  bool is_active = false;
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
  const observe::StatsRegistry& stats;
  CaptureState capture;
  std::function<proxy::EndpointState(const std::string& cluster, const SocketAddress& address)>
      endpoint;
};

}  // namespace mooring::app
