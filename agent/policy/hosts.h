// The endpoints of a cluster as one list, and their health as one word. Positions in the list are
// what the balancer speaks of.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/address.h"
#include "snapshot/snapshot.h"

namespace mooring::policy {

enum class HostHealth : std::uint8_t {
  healthy,
  degraded,   // used when the healthy ones do not suffice
  unhealthy,  // used in panic only
  draining,   // likewise, and not counted where shares of healthy endpoints are
};

[[nodiscard]] HostHealth health_of(snapshot::HealthStatus status) noexcept;

struct Host {
  SocketAddress address;
  std::uint32_t weight = 1;
  std::uint32_t priority = 0;
  std::uint32_t locality = 0;                  // of its priority
  HostHealth told = HostHealth::healthy;       // what the assignment says
  const snapshot::LbEndpoint* spec = nullptr;  // of the endpoints; never null

  friend bool operator==(const Host&, const Host&) = default;
};

struct Hosts {
  std::vector<Host> list;
  /// By priority and locality. A priority that the assignment passes over has none.
  std::vector<std::vector<std::uint32_t>> locality_weights;
};

/// envoy.config.endpoint.v3.LocalityLbEndpoints: no greater one is valid.
inline constexpr std::uint32_t kMaxPriority = 128;

/// An address that came before is left out. `endpoints` outlives what is made of it.
[[nodiscard]] Hosts build_hosts(const snapshot::EndpointsPart& endpoints);

}  // namespace mooring::policy
