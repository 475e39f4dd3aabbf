// Which endpoint of a cluster a connection tries. Pure: what outlives snapshots comes in as a view.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "config/model.h"

namespace mooring::policy {

struct EndpointView {
  std::uint64_t active = 0;  // connections
  bool is_ejected = false;
  bool was_tried = false;  // by this connection
};

struct Choice {
  std::size_t endpoint = 0;
  bool is_panic = false;  // every candidate was ejected
};

/// `position` is the cluster's counter for round robin; the caller advances it by one for each
/// connection. Fewest active connections wins for least_connections, ties in round-robin order.
/// Endpoints that were tried are not chosen again; ejected ones only when nothing else is left.
/// False: there is none.
[[nodiscard]] bool choose(std::span<const EndpointView> endpoints,
                          config::LbPolicy lb_policy,
                          std::uint64_t position,
                          Choice& out) noexcept;

}  // namespace mooring::policy
