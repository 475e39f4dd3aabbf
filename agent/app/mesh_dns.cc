#include "app/mesh_dns.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "core/ascii.h"
#include "core/file.h"
#include "core/log.h"
#include "dns/resolvers.h"
#include "net/socket.h"

namespace mooring::app {

namespace {

using Json = nlohmann::json;

constexpr const char* kResolvConf = "/etc/resolv.conf";
constexpr std::size_t kMaxResolvConf = std::size_t{64} * 1024;
constexpr std::size_t kMaxName = 253;
constexpr std::uint32_t kMaxTtl = 3600;

tl::unexpected<Diagnostic> broken(std::string message) {
  return fail(Diagnostic{"/dns", std::move(message), ""});
}

Checked<std::vector<dns::Address>> addresses_of(const Json& ips) {
  if (!ips.is_array() || ips.size() > kMaxAddressesOfName)
    return broken(fmt::format("ips: a list of at most {} is wanted", kMaxAddressesOfName));
  std::vector<dns::Address> addresses;
  for (const Json& text : ips) {
    const auto ip = text.is_string() ? parse_ip(text.get_ref<const std::string&>())
                                     : Result<IpAddress>(fail(Errc::bad_input, "ips"));
    if (!ip) return broken("ips: not an IP address");
    // Kuma writes each IPv4 address a second time as an IPv6 one.
    const bool is_mapped =
        ip->is_v4() && text.get_ref<const std::string&>().find(':') != std::string::npos;
    const dns::Address address{*ip, is_mapped};
    if (std::find(addresses.begin(), addresses.end(), address) == addresses.end())
      addresses.push_back(address);
  }
  return addresses;
}

bool is_name(const Json& name) {
  if (!name.is_string()) return false;
  const auto& text = name.get_ref<const std::string&>();
  return !text.empty() && text.size() <= kMaxName;
}

std::int64_t modified_ns(const std::string& file) {
  struct stat facts{};
  if (::stat(file.c_str(), &facts) != 0) return 0;
  return std::int64_t{facts.st_mtim.tv_sec} * 1'000'000'000 + facts.st_mtim.tv_nsec;
}

}  // namespace

Checked<dns::Table> parse_mesh_names(std::string_view json) {
  const Json body = Json::parse(json, nullptr, false);
  if (!body.is_object()) return broken("not a JSON object");
  dns::Table table;
  if (const auto ttl = body.find("ttl"); ttl != body.end()) {
    if (!ttl->is_number_unsigned()) return broken("ttl: not a number of seconds");
    table.ttl_s =
        static_cast<std::uint32_t>(std::min<std::uint64_t>(ttl->get<std::uint64_t>(), kMaxTtl));
  }
  const auto records = body.find("records");
  if (records == body.end() || records->is_null()) return table;
  if (!records->is_array() || records->size() > kMaxMeshNames)
    return broken(fmt::format("records: a list of at most {} is wanted", kMaxMeshNames));
  for (const Json& record : *records) {
    if (!record.is_object() || !record.contains("name") || !is_name(record["name"]))
      return broken("records: one has no name");
    auto addresses = addresses_of(record.value("ips", Json::array()));
    if (!addresses) return fail(addresses.error());
    table.addresses[lower_ascii(record["name"].get<std::string>())] = std::move(*addresses);
  }
  return table;
}

const std::vector<SocketAddress>& HostResolvers::get() {
  const std::int64_t now_ns = modified_ns(file_);
  if (std::exchange(seen_ns_, now_ns) == now_ns) return resolvers_;
  const auto text = read_file(file_, kMaxResolvConf);
  resolvers_ = text ? dns::parse_resolv_conf(*text) : std::vector<SocketAddress>{};
  std::erase_if(resolvers_, [this](const SocketAddress& resolver) {
    return resolver.ip.is_loopback() && resolver.port == own_port_;
  });
  return resolvers_;
}

MeshDns::MeshDns(Loop& loop, net::StreamPool& pool, std::uint16_t port)
    : port_(port),
      resolvers_(kResolvConf, port),
      server_(loop, pool, [this] { return resolvers_.get(); }) {}

void MeshDns::set_names(dns::Table table) {
  server_.set_table(std::move(table));
  if (!is_listening_) listen();
}

void MeshDns::listen() {
  const auto v4 = server_.listen({IpAddress::v4_loopback(), port_});
  if (!v4) {
    problem_ = fmt::format("names are not served: port {}: {}", port_, describe(v4.error()));
    log::error("{}", problem_);
    return;
  }
  is_listening_ = true;
  problem_.clear();
  const auto v6 = server_.listen({IpAddress::v6_loopback(), port_});
  is_complete_ = v6 || net::is_lack_of_family(v6.error());
  if (!is_complete_) {
    problem_ = fmt::format("names are not served on ::1 port {}: {}", port_, describe(v6.error()));
    log::error("{}", problem_);
  }
  log::info("{} names of the mesh are served on port {}", names(), port_);
}

}  // namespace mooring::app
