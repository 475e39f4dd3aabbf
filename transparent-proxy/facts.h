// What the plan has to know about this host, read from /proc and /etc. The parsers are pure;
// gather_facts() is for the helper and for commands.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "transparent-proxy/plan.h"

namespace mooring::transparent_proxy {

/// Never fails: what cannot be read is empty, port 22 always is an sshd port.
[[nodiscard]] HostFacts gather_facts(std::uint32_t agent_uid);

/// "nameserver" lines of resolv.conf(5).
[[nodiscard]] std::vector<IpAddress> parse_resolvers(std::string_view text);
/// Accounts of passwd(5) under which resolvers run, but root's.
[[nodiscard]] std::vector<std::uint32_t> parse_resolver_accounts(std::string_view passwd);
/// Users of the sockets of /proc/net/udp or udp6 that are bound to port 53, but root.
[[nodiscard]] std::vector<std::uint32_t> parse_resolver_sockets(std::string_view proc_udp);
/// What applications ask: /etc/resolv.conf, as far as resolv.conf(5) lets it count.
[[nodiscard]] std::vector<IpAddress> host_name_servers();
/// "Port" and the ports of "ListenAddress" of sshd_config(5).
[[nodiscard]] std::vector<std::uint16_t> parse_sshd_ports(std::string_view text);
/// "ListenStream=" lines of ssh.socket, systemd.socket(5).
[[nodiscard]] std::vector<std::uint16_t> parse_socket_unit_ports(std::string_view text);

/// One line of /proc/net/tcp or tcp6 (proc(5)).
struct TcpEntry {
  SocketAddress local;
  SocketAddress remote;
  std::uint8_t state = 0;  // 1 established, 6 time wait, 10 listen (include/net/tcp_states.h)
  std::uint32_t uid = 0;
  friend bool operator==(const TcpEntry&, const TcpEntry&) = default;
};
[[nodiscard]] std::vector<TcpEntry> parse_proc_tcp(std::string_view text);

/// TCP connections of this host whose own port is `local_port`: neither listening nor in time wait.
[[nodiscard]] std::size_t count_connections(std::uint16_t local_port);

/// Connections that are open already to what `plan` captures, and stay as they are: not the agent's
/// own.
[[nodiscard]] std::size_t count_uncaptured(const Plan& plan, const std::vector<TcpEntry>& entries);
/// Of this host now.
[[nodiscard]] std::vector<TcpEntry> tcp_entries();

}  // namespace mooring::transparent_proxy
