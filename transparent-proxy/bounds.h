// What root allows the agent to capture: /etc/mooring/capture.toml. It also bounds what a control
// plane can ask for, because that comes through the agent. Pure but for load_bounds().
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"
#include "transparent-proxy/plan.h"

namespace mooring::transparent_proxy {

struct PortRange {
  std::uint16_t first = 1;
  std::uint16_t last = 65535;
  friend auto operator<=>(const PortRange&, const PortRange&) noexcept = default;
};

/// An empty Bounds allows nothing.
struct Bounds {
  std::vector<PortRange> inbound_ports;
  std::vector<PortRange>
      stay_closed;  // inbound ports that may not be opened when the agent is gone
  std::vector<IpPrefix> outbound_addresses;
  std::vector<PortRange> outbound_ports;
  bool may_refuse_other = false;
  bool may_redirect_dns = false;

  friend bool operator==(const Bounds&, const Bounds&) = default;
};

/// One example with every key:
///
///     [inbound]
///     ports = [5432, "8000-8099"]
///     stay_closed = [5432]
///     [outbound]
///     addresses = ["10.0.0.0/8", "fd00::/8"]
///     ports = ["1-65535"]
///     refuse_other = false
///     redirect_dns = false
[[nodiscard]] Checked<Bounds> parse_bounds(std::string_view text, const std::string& path);

/// A key of capture.toml, for the man page.
struct BoundsKey {
  std::string_view table;
  std::string_view name;
  std::string_view value;  // "list of ports and ranges"
  std::string_view help;
};
[[nodiscard]] std::vector<BoundsKey> bounds_keys();

/// A missing file allows nothing. Fails if the file could be changed by somebody else than root.
[[nodiscard]] Checked<Bounds> load_bounds(const std::string& path);

/// Success if the bounds, or the plan that root has set (may be null), allow all of it; else what
/// is not allowed.
[[nodiscard]] Checked<void> check_allowed(const InterceptConfig& wanted,
                                          const Bounds& bounds,
                                          const InterceptConfig* set_by_root);

/// Whether the agent may have queries for names redirected to itself.
[[nodiscard]] bool allows_dns(const Bounds& bounds, const InterceptConfig* set_by_root);

/// Success if `narrower` captures nothing that `wider` does not.
[[nodiscard]] Checked<void> check_narrower(const InterceptConfig& narrower,
                                           const InterceptConfig& wider);

}  // namespace mooring::transparent_proxy
