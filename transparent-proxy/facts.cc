#include "transparent-proxy/facts.h"

#include <dirent.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <fstream>
#include <functional>
#include <sstream>

#include <fmt/format.h>

#include "core/ascii.h"
#include "core/file.h"

namespace mooring::transparent_proxy {

namespace {

constexpr std::uint16_t kSshPort = 22;
constexpr std::uint16_t kDnsPort = 53;
constexpr const char* kResolvConf = "/etc/resolv.conf";
constexpr std::size_t kMaxNameServers = 3;  // MAXNS of resolv.h
// Of systemd, dnsmasq, unbound, BIND (Debian, Red Hat), PowerDNS and Knot. A socket for port 53
// that was made before its program gave up root does not tell.
constexpr std::array<std::string_view, 7> kResolverAccounts{
    "systemd-resolve", "dnsmasq", "unbound", "bind", "named", "pdns-recursor", "knot-resolver"};
constexpr std::uint8_t kEstablished = 1;
constexpr std::uint8_t kTimeWait = 6;
constexpr std::uint8_t kListen = 10;
// Of /etc files; sshd_config and resolv.conf are a few kilobytes.
constexpr std::size_t kMaxFileBytes = std::size_t{1024} * 1024;

void each_line(std::string_view text, const std::function<void(std::string_view)>& use) {
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    use(text.substr(0, end));
    text = end == std::string_view::npos ? std::string_view{} : text.substr(end + 1);
  }
}

// /proc and /sys files say size 0 and are no match for read_file's callers elsewhere; small ones of
// /etc are.
std::string content_of(const std::string& path) {
  std::ifstream file(path);
  std::ostringstream out;
  out << file.rdbuf();
  return out.str();
}

std::string etc_file(const std::string& path) {
  return read_file(path, kMaxFileBytes).value_or(std::string());
}

std::vector<std::string> files_in(const std::string& folder, std::string_view ending) {
  std::vector<std::string> paths;
  DIR* stream = ::opendir(folder.c_str());
  if (stream == nullptr) return paths;
  // NOLINTNEXTLINE(concurrency-mt-unsafe): a stream of our own
  while (const dirent* entry = ::readdir(stream)) {
    const std::string name = entry->d_name;
    if (name.ends_with(ending)) paths.push_back(fmt::format("{}/{}", folder, name));
  }
  ::closedir(stream);
  return paths;
}

template <class T>
void sort_unique(std::vector<T>& values) {
  std::sort(values.begin(), values.end());
  values.erase(std::unique(values.begin(), values.end()), values.end());
}

bool parse_hex(std::string_view text, std::uint32_t& value) {
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), value, 16);
  return problem == std::errc{} && end == text.data() + text.size();
}

// "0100007F:1F90", or 32 digits for IPv6: words of the host's byte order.
bool parse_hex_address(std::string_view text, SocketAddress& out) {
  const std::size_t colon = text.find(':');
  if (colon == std::string_view::npos || (colon != 8 && colon != 32)) return false;
  std::uint32_t port = 0;
  if (!parse_hex(text.substr(colon + 1), port) || port > 65535) return false;
  std::array<std::uint8_t, 16> bytes{};
  for (std::size_t word = 0; word < colon / 8; ++word) {
    std::uint32_t value = 0;
    if (!parse_hex(text.substr(word * 8, 8), value)) return false;
    std::memcpy(bytes.data() + word * 4, &value, 4);
  }
  out.port = static_cast<std::uint16_t>(port);
  out.ip = colon == 8 ? IpAddress::v4(static_cast<std::uint32_t>(bytes[0]) << 24 |
                                      static_cast<std::uint32_t>(bytes[1]) << 16 |
                                      static_cast<std::uint32_t>(bytes[2]) << 8 | bytes[3])
                      : IpAddress::v6(bytes);
  return true;
}

bool has_port(const std::vector<std::uint16_t>& ports, std::uint16_t port) {
  return std::find(ports.begin(), ports.end(), port) != ports.end();
}

bool captures(const Plan& plan, const TcpEntry& entry) {
  if (has_port(plan.inbound_open, entry.local.port) ||
      has_port(plan.inbound_closed, entry.local.port))
    return true;
  return std::any_of(plan.outbound.begin(), plan.outbound.end(), [&](const OutboundGroup& group) {
    return has_port(group.ports, entry.remote.port) &&
           std::any_of(group.prefixes.begin(), group.prefixes.end(), [&](const IpPrefix& prefix) {
             return prefix.contains(entry.remote.ip);
           });
  });
}

}  // namespace

std::vector<TcpEntry> tcp_entries() {
  auto entries = parse_proc_tcp(content_of("/proc/net/tcp"));
  const auto v6 = parse_proc_tcp(content_of("/proc/net/tcp6"));
  entries.insert(entries.end(), v6.begin(), v6.end());
  return entries;
}

std::size_t count_uncaptured(const Plan& plan, const std::vector<TcpEntry>& entries) {
  return static_cast<std::size_t>(
      std::count_if(entries.begin(), entries.end(), [&](const TcpEntry& entry) {
        return entry.state == kEstablished && entry.uid != plan.agent_uid &&
               !entry.remote.ip.is_loopback() && captures(plan, entry);
      }));
}

std::vector<IpAddress> parse_resolvers(std::string_view text) {
  std::vector<IpAddress> found;
  each_line(text, [&](std::string_view line) {
    std::istringstream words{std::string(line)};
    std::string key;
    std::string value;
    if (!(words >> key >> value) || key != "nameserver") return;
    if (const auto ip = parse_ip(value.substr(0, value.find('%')))) found.push_back(*ip);
  });
  return found;
}

std::vector<std::uint16_t> parse_sshd_ports(std::string_view text) {
  std::vector<std::uint16_t> found;
  each_line(text, [&](std::string_view line) {
    std::string plain(line);
    std::replace(plain.begin(), plain.end(), '=', ' ');
    std::istringstream words(plain);
    std::string key;
    std::string value;
    if (!(words >> key >> value)) return;
    key = lower_ascii(key);
    if (key == "port") {
      if (const auto port = parse_port(value)) found.push_back(*port);
    } else if (key == "listenaddress") {
      const std::size_t colon = value.rfind(':');
      const bool has_port =
          colon != std::string::npos && (value.find(':') == colon || value[colon - 1] == ']');
      if (!has_port) return;
      if (const auto port = parse_port(std::string_view(value).substr(colon + 1)))
        found.push_back(*port);
    }
  });
  return found;
}

std::vector<std::uint16_t> parse_socket_unit_ports(std::string_view text) {
  std::vector<std::uint16_t> found;
  constexpr std::string_view kKey = "ListenStream=";
  each_line(text, [&](std::string_view line) {
    if (!line.starts_with(kKey)) return;
    const std::string_view value = line.substr(kKey.size());
    const std::size_t colon = value.rfind(':');
    const auto port = parse_port(colon == std::string_view::npos ? value : value.substr(colon + 1));
    if (port) found.push_back(*port);
  });
  return found;
}

std::vector<TcpEntry> parse_proc_tcp(std::string_view text) {
  std::vector<TcpEntry> entries;
  each_line(text, [&](std::string_view line) {
    std::istringstream words{std::string(line)};
    std::string slot;
    std::string local;
    std::string remote;
    std::string state;
    std::string queues;
    std::string timer;
    std::string retransmits;
    if (!(words >> slot >> local >> remote >> state)) return;
    TcpEntry entry;
    words >> queues >> timer >> retransmits >> entry.uid;
    std::uint32_t number = 0;
    if (!parse_hex_address(local, entry.local) || !parse_hex_address(remote, entry.remote) ||
        !parse_hex(state, number))
      return;
    entry.state = static_cast<std::uint8_t>(number);
    entries.push_back(entry);
  });
  return entries;
}

std::size_t count_connections(std::uint16_t local_port) {
  const auto entries = tcp_entries();
  return static_cast<std::size_t>(
      std::count_if(entries.begin(), entries.end(), [&](const TcpEntry& entry) {
        return entry.local.port == local_port && entry.state != kListen && entry.state != kTimeWait;
      }));
}

std::vector<std::uint32_t> parse_resolver_accounts(std::string_view passwd) {
  std::vector<std::uint32_t> uids;
  each_line(passwd, [&](std::string_view line) {
    std::istringstream fields{std::string(line)};
    std::string name;
    std::string password;
    std::string number;
    std::getline(fields, name, ':');
    std::getline(fields, password, ':');
    std::getline(fields, number, ':');
    const bool is_resolver = std::find(kResolverAccounts.begin(), kResolverAccounts.end(), name) !=
                             kResolverAccounts.end();
    std::uint32_t uid = 0;
    std::from_chars(number.data(), number.data() + number.size(), uid);
    if (is_resolver && uid != 0) uids.push_back(uid);
  });
  return uids;
}

std::vector<std::uint32_t> parse_resolver_sockets(std::string_view proc_udp) {
  std::vector<std::uint32_t> uids;
  for (const TcpEntry& entry : parse_proc_tcp(proc_udp)) {  // the columns are the same
    if (entry.local.port == kDnsPort && entry.uid != 0) uids.push_back(entry.uid);
  }
  return uids;
}

std::vector<IpAddress> host_name_servers() {
  auto found = parse_resolvers(etc_file(kResolvConf));
  if (found.size() > kMaxNameServers) found.resize(kMaxNameServers);
  return found;
}

HostFacts gather_facts(std::uint32_t agent_uid) {
  HostFacts facts;
  facts.agent_uid = agent_uid;
  facts.boot_suffix = content_of("/proc/sys/kernel/random/boot_id").substr(0, 8);
  for (const char* path : {kResolvConf, "/run/systemd/resolve/resolv.conf"}) {
    const auto found = parse_resolvers(etc_file(path));
    facts.resolvers.insert(facts.resolvers.end(), found.begin(), found.end());
  }
  sort_unique(facts.resolvers);
  facts.name_servers = host_name_servers();
  facts.resolver_uids = parse_resolver_accounts(etc_file("/etc/passwd"));
  for (const char* path : {"/proc/net/udp", "/proc/net/udp6"}) {
    const auto found = parse_resolver_sockets(content_of(path));
    facts.resolver_uids.insert(facts.resolver_uids.end(), found.begin(), found.end());
  }
  std::erase(facts.resolver_uids, agent_uid);
  sort_unique(facts.resolver_uids);

  std::vector<std::uint16_t> ports{kSshPort};
  const auto add = [&](const std::vector<std::uint16_t>& more) {
    ports.insert(ports.end(), more.begin(), more.end());
  };
  add(parse_sshd_ports(etc_file("/etc/ssh/sshd_config")));
  for (const std::string& path : files_in("/etc/ssh/sshd_config.d", ".conf"))
    add(parse_sshd_ports(etc_file(path)));
  for (const char* path :
       {"/usr/lib/systemd/system/ssh.socket", "/etc/systemd/system/ssh.socket"}) {
    add(parse_socket_unit_ports(etc_file(path)));
  }
  for (const std::string& path : files_in("/etc/systemd/system/ssh.socket.d", ".conf")) {
    add(parse_socket_unit_ports(etc_file(path)));
  }
  sort_unique(ports);
  facts.sshd_ports = ports;

  for (const TcpEntry& entry : tcp_entries()) {
    const bool is_sshd = std::find(ports.begin(), ports.end(), entry.local.port) != ports.end();
    if (is_sshd && entry.state != kListen && !entry.remote.ip.is_loopback())
      facts.ssh_peers.push_back(entry.remote.ip);
  }
  sort_unique(facts.ssh_peers);
  return facts;
}

}  // namespace mooring::transparent_proxy
