#include "transparent-proxy/plan.h"

#include <algorithm>
#include <array>
#include <map>
#include <tuple>

#include <fmt/format.h>

#include "capture_client/messages.h"

namespace mooring::transparent_proxy {

namespace {

using capture_client::InboundPort;
using capture_client::OutboundTarget;

struct NeverCaptured {
  std::string_view prefix;
  std::string_view why;
};

// RFC 6890 for the special blocks. 169.254.169.254 is inside link-local; the IPv6 address is the
// same service of AWS.
constexpr std::array kNeverCaptured{
    NeverCaptured{"0.0.0.0/8", "this host (RFC 1122)"},
    NeverCaptured{"127.0.0.0/8", "loopback"},
    NeverCaptured{"169.254.0.0/16", "link-local, with the cloud's metadata address"},
    NeverCaptured{"224.0.0.0/4", "multicast"},
    NeverCaptured{"255.255.255.255/32", "broadcast"},
    NeverCaptured{"::/128", "unspecified"},
    NeverCaptured{"::1/128", "loopback"},
    NeverCaptured{"fd00:ec2::254/128", "the cloud's metadata address"},
    NeverCaptured{"fe80::/10", "link-local"},
    NeverCaptured{"ff00::/8", "multicast"},
};

constexpr std::uint16_t kDnsPort = 53;
// DHCP and DHCPv6, client and server (IANA service names and port numbers).
constexpr std::array<std::uint16_t, 4> kDhcpPorts{67, 68, 546, 547};

template <class T>
void sort_unique(std::vector<T>& values) {
  std::sort(values.begin(), values.end());
  values.erase(std::unique(values.begin(), values.end()), values.end());
}

bool covers(const IpPrefix& outer, const IpPrefix& inner) noexcept {
  return outer.length <= inner.length && outer.contains(inner.base);
}

bool is_host(const IpPrefix& prefix) noexcept {
  return prefix.length == (prefix.base.is_v4() ? 32 : 128);
}

IpPrefix host_prefix(const IpAddress& ip) noexcept {
  return {ip, static_cast<std::uint8_t>(ip.is_v4() ? 32 : 128)};
}

// Sorted, and without a prefix that another one contains: nft refuses overlapping intervals.
void make_disjoint(std::vector<IpPrefix>& prefixes) {
  sort_unique(prefixes);  // a block sorts before the smaller ones that start at its base
  std::vector<IpPrefix> kept;
  for (const IpPrefix& prefix : prefixes) {
    if (kept.empty() || !covers(kept.back(), prefix)) kept.push_back(prefix);
  }
  prefixes = std::move(kept);
}

tl::unexpected<Diagnostic> refuse(std::string path, std::string message, std::string hint = {}) {
  return fail(Diagnostic{std::move(path), std::move(message), std::move(hint)});
}

std::string name_of(const OutboundTarget& target) {
  return fmt::format("outbound {} port {}", target.prefix.to_string(), target.port);
}

bool has(const std::vector<std::uint16_t>& ports, std::uint16_t port) {
  return std::find(ports.begin(), ports.end(), port) != ports.end();
}

Checked<void> check_target(const OutboundTarget& target, const Plan& made, const HostFacts& facts) {
  for (const NeverCaptured& never : kNeverCaptured) {
    if (covers(*parse_prefix(never.prefix), target.prefix)) {
      return refuse(name_of(target), fmt::format("is never captured: {}", never.why));
    }
  }
  if (has(facts.sshd_ports, target.port)) {
    return refuse(name_of(target),
                  "is a port of this host's sshd, which is never captured",
                  "remove the port from the upstream");
  }
  if (has(made.never_ports, target.port)) {
    return refuse(
        name_of(target), "is a port that is never captured", "see exclude_ports and DHCP");
  }
  return {};
}

// The same destination or port with two fates is a contradiction; which one should win is not ours
// to guess.
template <class T, class Key>
Checked<void> check_fates(const std::vector<T>& sorted, Key key) {
  for (std::size_t i = 1; i < sorted.size(); ++i) {
    if (key(sorted[i - 1]) == key(sorted[i])) {
      return refuse(fmt::format("port {}", sorted[i].port),
                    "is wanted both open and closed when the agent is gone");
    }
  }
  return {};
}

Checked<void> plan_inbound(const InterceptConfig& config, const HostFacts& facts, Plan& made) {
  std::vector<InboundPort> wanted = config.inbound;
  sort_unique(wanted);
  if (auto ok = check_fates(wanted, [](const InboundPort& p) { return p.port; }); !ok) return ok;
  for (const InboundPort& inbound : wanted) {
    const std::string path = fmt::format("inbound port {}", inbound.port);
    if (has(facts.sshd_ports, inbound.port)) {
      return refuse(path, "is a port of this host's sshd, which is never captured");
    }
    if (inbound.port == config.inbound_port || inbound.port == config.outbound_port) {
      return refuse(path, "is a port of the agent itself");
    }
    if (has(config.exclude_ports, inbound.port)) {
      return refuse(path, "is a service and in exclude_ports");
    }
    auto& ports = is_closed(inbound.on_agent_death) ? made.inbound_closed : made.inbound_open;
    ports.push_back(inbound.port);
  }
  return {};
}

// Port by port, then ports that share their prefixes become one group: few rules, and no
// concatenated set, which kernels before 5.6 lack.
std::vector<OutboundGroup> group_targets(const std::vector<OutboundTarget>& targets) {
  using PortKey = std::tuple<bool, OnAgentDeath, std::uint16_t>;
  std::map<PortKey, std::vector<IpPrefix>> by_port;
  for (const OutboundTarget& target : targets) {
    by_port[{!target.prefix.base.is_v4(), target.on_agent_death, target.port}].push_back(
        target.prefix);
  }
  using GroupKey = std::tuple<bool, OnAgentDeath, std::vector<IpPrefix>>;
  std::map<GroupKey, std::vector<std::uint16_t>> by_prefixes;
  for (auto& [key, prefixes] : by_port) {
    make_disjoint(prefixes);
    by_prefixes[{std::get<0>(key), std::get<1>(key), prefixes}].push_back(std::get<2>(key));
  }
  std::vector<OutboundGroup> groups;
  groups.reserve(by_prefixes.size());
  for (const auto& [key, ports] : by_prefixes) {
    groups.push_back({std::get<0>(key), std::get<1>(key), std::get<2>(key), ports});
  }
  return groups;
}

Checked<void> plan_outbound(const InterceptConfig& config, const HostFacts& facts, Plan& made) {
  std::vector<OutboundTarget> wanted = config.outbound;
  sort_unique(wanted);
  const auto key = [](const OutboundTarget& t) { return std::make_pair(t.prefix, t.port); };
  if (auto ok = check_fates(wanted, key); !ok) return ok;
  for (const OutboundTarget& target : wanted) {
    if (auto ok = check_target(target, made, facts); !ok) return ok;
    for (const IpPrefix& excluded : config.exclude_addresses) {
      if (covers(excluded, target.prefix)) {
        made.notes.push_back(fmt::format(
            "{} is not captured: exclude_addresses has {}", name_of(target), excluded.to_string()));
      }
    }
  }
  made.outbound = group_targets(wanted);
  return {};
}

void plan_exclusions(const InterceptConfig& config, const HostFacts& facts, Plan& made) {
  for (const NeverCaptured& never : kNeverCaptured)
    made.never.push_back(*parse_prefix(never.prefix));
  made.never.insert(
      made.never.end(), config.exclude_addresses.begin(), config.exclude_addresses.end());
  for (const IpAddress& peer : facts.ssh_peers) {
    const bool is_target = std::any_of(
        config.outbound.begin(), config.outbound.end(), [&](const OutboundTarget& target) {
          return is_host(target.prefix) && target.prefix.base == peer;
        });
    if (is_target) {
      made.notes.push_back(
          fmt::format("{} has an SSH session here and is an upstream by its own address: its "
                      "upstream ports are captured",
                      peer.to_string()));
    } else {
      made.never.push_back(host_prefix(peer));
    }
  }
  make_disjoint(made.never);
  for (const IpAddress& resolver : facts.resolvers)
    made.resolvers.push_back(host_prefix(resolver));
  sort_unique(made.resolvers);
  made.never_ports.assign(kDhcpPorts.begin(), kDhcpPorts.end());
  const auto add = [&](const std::vector<std::uint16_t>& ports) {
    made.never_ports.insert(made.never_ports.end(), ports.begin(), ports.end());
  };
  add(facts.sshd_ports);
  add(config.exclude_ports);
  sort_unique(made.never_ports);
}

// A stub on this host asks the others: where one is named, queries that go past it are its own, or
// an application's that found it wanting, and neither may come back to it through the agent.
void plan_dns(const InterceptConfig& config, const HostFacts& facts, Plan& made) {
  if (config.dns_port == 0 || has(config.exclude_ports, kDnsPort)) return;
  const bool has_stub = std::any_of(facts.name_servers.begin(),
                                    facts.name_servers.end(),
                                    [](const IpAddress& server) { return server.is_loopback(); });
  const IpPrefix link_local = *parse_prefix("fe80::/10");
  for (const IpAddress& server : facts.name_servers) {
    const bool is_excluded =
        std::any_of(config.exclude_addresses.begin(),
                    config.exclude_addresses.end(),
                    [&](const IpPrefix& excluded) { return excluded.contains(server); });
    // The agent cannot ask one whose address has a scope.
    if (!is_excluded && !link_local.contains(server) && server.is_loopback() == has_stub)
      made.dns.resolvers.push_back(host_prefix(server));
  }
  sort_unique(made.dns.resolvers);
  if (made.dns.resolvers.empty()) {
    made.notes.emplace_back("names of the mesh do not resolve: /etc/resolv.conf names no resolver");
    return;
  }
  made.dns.port = config.dns_port;
  made.dns.except = facts.resolver_uids;
  sort_unique(made.dns.except);
}

}  // namespace

bool is_closed(OnAgentDeath fate) noexcept {
  return fate == OnAgentDeath::closed;
}

bool Plan::guards_outbound() const noexcept {
  return (refuse_other && is_closed(other_on_agent_death)) ||
         std::any_of(outbound.begin(), outbound.end(), [](const OutboundGroup& group) {
           return is_closed(group.on_agent_death);
         });
}

bool Plan::opens_outbound() const noexcept {
  return (refuse_other && !is_closed(other_on_agent_death)) ||
         std::any_of(outbound.begin(), outbound.end(), [](const OutboundGroup& group) {
           return !is_closed(group.on_agent_death);
         });
}

Checked<Plan> plan(const InterceptConfig& config, const HostFacts& facts) {
  if (const auto ok = capture_client::check_bounds(config); !ok) {
    return refuse("capture", describe(ok.error()));
  }
  if (config.outbound_port == config.inbound_port) {
    return refuse("capture", "outbound_port and inbound_port are the same");
  }
  if (config.dns_port == config.outbound_port || config.dns_port == config.inbound_port) {
    return refuse("capture", "the port for names is one that connections are redirected to");
  }
  Plan made;
  made.boot_suffix = facts.boot_suffix;
  made.agent_uid = facts.agent_uid;
  made.outbound_port = config.outbound_port;
  made.inbound_port = config.inbound_port;
  made.refuse_other = config.other == OtherTraffic::refuse;
  made.other_on_agent_death = config.other_on_agent_death;
  plan_exclusions(config, facts, made);
  if (auto ok = plan_inbound(config, facts, made); !ok) return fail(ok.error());
  if (auto ok = plan_outbound(config, facts, made); !ok) return fail(ok.error());
  plan_dns(config, facts, made);
  made.redirects_inbound = !facts.has_tproxy && made.captures_inbound();
  if (made.redirects_inbound) {
    made.notes.push_back(fmt::format(
        "services are captured by redirect, because this kernel has no tproxy: the host's firewall "
        "sees port {} instead of theirs, and a rule for one of their ports does not apply",
        made.inbound_port));
  }
  return made;
}

}  // namespace mooring::transparent_proxy
