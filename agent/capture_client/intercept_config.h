// What to capture on this host, as plain values: made from agent.toml by the agent or the command
// line, carried to the helper by a message, judged there against /etc/mooring/capture.toml.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/address.h"

namespace mooring::capture_client {

/// What becomes of captured connections when the agent is gone: `open` sends them where they were
/// meant to go, `closed` refuses them with a reset.
enum class OnAgentDeath : std::uint8_t { open, closed };

/// Outbound connections that no target names: `pass` leaves them alone, `refuse` sends all of them
/// to the agent (but for the exclusions), which refuses them and says so.
enum class OtherTraffic : std::uint8_t { pass, refuse };

/// Connections that applications on this host open to `prefix`:`port`.
struct OutboundTarget {
  IpPrefix prefix;
  std::uint16_t port = 0;
  OnAgentDeath on_agent_death = OnAgentDeath::open;

  friend auto operator<=>(const OutboundTarget&, const OutboundTarget&) noexcept = default;
};

/// Connections that other hosts open to `port` of this host.
struct InboundPort {
  std::uint16_t port = 0;
  OnAgentDeath on_agent_death = OnAgentDeath::closed;

  friend auto operator<=>(const InboundPort&, const InboundPort&) noexcept = default;
};

struct InterceptConfig {
  std::uint16_t outbound_port =
      15001;  // where the agent's outbound listeners accept (127.0.0.1 and ::1)
  std::uint16_t inbound_port = 15006;  // where its transparent inbound listeners accept
  std::vector<OutboundTarget> outbound;
  std::vector<InboundPort> inbound;
  std::vector<IpPrefix>
      exclude_addresses;  // outbound destinations never captured, beyond the built-in ones
  std::vector<std::uint16_t> exclude_ports;
  OtherTraffic other = OtherTraffic::pass;
  OnAgentDeath other_on_agent_death = OnAgentDeath::open;
  /// Queries to the host's resolvers go to this port of 127.0.0.1 and [::1], where the agent
  /// answers names; 0: they stay what they are. Gone with the agent in every case.
  std::uint16_t dns_port = 0;

  friend bool operator==(const InterceptConfig&, const InterceptConfig&) = default;
};

/// Bounds of one InterceptConfig; beyond them it is refused. 4,096 targets of 21 bytes make an 86
/// KB message, which a SEQPACKET socket with the kernel's default buffers (212,992) carries.
inline constexpr std::size_t kMaxOutboundTargets = 4096;
inline constexpr std::size_t kMaxInboundPorts = 256;
inline constexpr std::size_t kMaxExclusions = 512;
/// Outbound and inbound, IPv4 and IPv6: four sockets a worker, and SCM_RIGHTS carries at most 253
/// (unix(7)).
inline constexpr std::uint16_t kMaxWorkers = 60;

}  // namespace mooring::capture_client
