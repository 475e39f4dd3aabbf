// Decides what to capture: from what is wanted and what the host is like to a plan without
// contradictions. Pure; the helper and `mooring capture plan` call the same function.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "capture_client/intercept_config.h"
#include "core/address.h"
#include "core/result.h"

namespace mooring::transparent_proxy {

using capture_client::InterceptConfig;
using capture_client::OnAgentDeath;
using capture_client::OtherTraffic;

/// What a plan depends on beyond the wish. Gathered by gather_facts() in facts.h.
struct HostFacts {
  std::uint32_t agent_uid = 0;
  std::string boot_suffix;           // 8 hex digits, new at every boot; part of every name we give
  std::vector<IpAddress> resolvers;  // of /etc/resolv.conf, and systemd-resolved's own
  std::vector<IpAddress> name_servers;  // of /etc/resolv.conf: what applications ask, in its order
  std::vector<std::uint32_t> resolver_uids;  // users of resolvers on this host, none of them root
  std::vector<std::uint16_t> sshd_ports;
  std::vector<IpAddress> ssh_peers;  // other ends of the SSH connections to this host
  bool has_tproxy = true;            // else services are captured by redirect

  friend bool operator==(const HostFacts&, const HostFacts&) = default;
};

/// Destinations of one family that share their ports and their fate: every prefix with every port.
struct OutboundGroup {
  bool is_v6 = false;
  OnAgentDeath on_agent_death = OnAgentDeath::open;
  std::vector<IpPrefix> prefixes;    // sorted, disjoint
  std::vector<std::uint16_t> ports;  // sorted

  friend bool operator==(const OutboundGroup&, const OutboundGroup&) = default;
};

/// Queries to the host's resolvers that go to the agent. Never part of the guard: names must not
/// end with the agent.
struct DnsRedirect {
  std::uint16_t port = 0;             // of the agent; 0: they are left alone
  std::vector<IpPrefix> resolvers;    // sorted
  std::vector<std::uint32_t> except;  // sorted; users whose queries pass: local resolvers

  friend bool operator==(const DnsRedirect&, const DnsRedirect&) = default;
};

struct Plan {
  std::string boot_suffix;
  std::uint32_t agent_uid = 0;
  std::uint16_t outbound_port = 0;
  std::uint16_t inbound_port = 0;
  std::vector<IpPrefix> never;             // outbound destinations, both families: sorted, disjoint
  std::vector<IpPrefix> resolvers;         // ports 53 and 853 of these are never captured
  std::vector<std::uint16_t> never_ports;  // outbound
  std::vector<OutboundGroup> outbound;
  DnsRedirect dns;
  bool refuse_other = false;
  OnAgentDeath other_on_agent_death = OnAgentDeath::open;
  std::vector<std::uint16_t> inbound_open;    // sorted; by what happens when the agent is gone
  std::vector<std::uint16_t> inbound_closed;  // sorted
  // Without TPROXY. The host's firewall then sees the agent's port instead of the service's.
  bool redirects_inbound = false;
  std::vector<std::string> notes;  // what was left out and why, for people

  [[nodiscard]] bool redirects_dns() const noexcept { return dns.port != 0; }
  [[nodiscard]] bool captures_outbound() const noexcept {
    return refuse_other || !outbound.empty() || redirects_dns();
  }
  [[nodiscard]] bool captures_inbound() const noexcept {
    return !inbound_open.empty() || !inbound_closed.empty();
  }
  [[nodiscard]] bool captures_anything() const noexcept {
    return captures_outbound() || captures_inbound();
  }
  /// Something that stays refused while the agent is gone.
  [[nodiscard]] bool guards_outbound() const noexcept;
  [[nodiscard]] bool guards_anything() const noexcept {
    return guards_outbound() || !inbound_closed.empty();
  }
  /// Something that is let through while the agent is gone.
  [[nodiscard]] bool opens_outbound() const noexcept;
  [[nodiscard]] bool opens_anything() const noexcept {
    return opens_outbound() || !inbound_open.empty();
  }

  friend bool operator==(const Plan&, const Plan&) = default;
};

/// Fails for what can never be captured (loopback, link-local, multicast, the metadata addresses,
/// sshd's and DHCP's ports) or contradicts itself. An SSH peer inside a wider target is left out;
/// one that is a target by its own address is captured, because leaving it out would send that
/// upstream's traffic in the clear.
[[nodiscard]] Checked<Plan> plan(const InterceptConfig& config, const HostFacts& facts);

/// The part that is still refused when the agent is gone: what the guard table covers.
[[nodiscard]] bool is_closed(OnAgentDeath fate) noexcept;

}  // namespace mooring::transparent_proxy
