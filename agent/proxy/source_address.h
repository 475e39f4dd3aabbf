// From which address of this host an upstream is dialled.
#pragma once

#include <optional>

#include "core/address.h"
#include "snapshot/resources.h"

namespace mooring::proxy {

/// None: the kernel chooses. An application must not start to trust strangers: what comes through
/// the agent never looks like 127.0.0.1 or ::1, which pg_hba, MySQL grants and Tomcat valves let
/// in. `dialled` is what the downstream meant to reach.
[[nodiscard]] inline std::optional<IpAddress> source_for(const snapshot::Cluster& cluster,
                                                         const SocketAddress& target,
                                                         const SocketAddress& dialled) noexcept {
  if (cluster.bind && cluster.bind->is_v4() == target.ip.is_v4()) return cluster.bind;
  if (!cluster.local || !target.ip.is_loopback()) return std::nullopt;
  if (target.ip.is_v4()) return IpAddress::v4(0x7f000006);
  if (!dialled.ip.is_v4()) return dialled.ip;
  return std::nullopt;
}

}  // namespace mooring::proxy
