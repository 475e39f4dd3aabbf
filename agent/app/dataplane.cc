#include "app/dataplane.h"

#include <nlohmann/json.hpp>

#include "observe/record_json.h"

namespace mooring::app {

namespace {

using Json = nlohmann::ordered_json;

constexpr std::uint16_t kUsualAdminPort = 9901;  // what a control plane asks where none is said

const char* name_of(config::Protocol protocol) {
  switch (protocol) {
    case config::Protocol::tcp:
      return "tcp";
    case config::Protocol::http:
      return "http";
    case config::Protocol::http2:
      return "http2";
    case config::Protocol::grpc:
      return "grpc";
  }
  return "tcp";
}

Json inbound_json(const config::Service& service, const IpAddress& address) {
  Json inbound = {{"name", service.name}, {"port", service.port}};
  if (service.target && service.target->port != service.port)
    inbound["servicePort"] = service.target->port;
  if (service.target && service.target->ip != address)
    inbound["serviceAddress"] = service.target->ip.to_string();
  inbound["protocol"] = name_of(service.protocol);
  if (service.probe) inbound["serviceProbe"] = {{"tcp", Json::object()}};
  return inbound;
}

}  // namespace

Dataplane compose_dataplane(const config::ControlPlane& control_plane,
                            const std::vector<config::Service>& services,
                            const IpAddress& address) {
  Dataplane dataplane{
      control_plane.mesh, control_plane.name, control_plane.workload, address, {}, false, ""};
  Json json = {{"type", "Dataplane"}, {"mesh", dataplane.mesh}, {"name", dataplane.name}};
  if (!dataplane.workload.empty())
    json["labels"] = {{std::string(kWorkloadLabel), dataplane.workload}};
  Json networking = {{"address", address.to_string()}};
  if (control_plane.admin_port != kUsualAdminPort)
    networking["admin"] = {{"port", control_plane.admin_port}};
  for (const config::Service& service : services) {
    networking["inbound"].push_back(inbound_json(service, address));
    dataplane.inbound.push_back({service.name,
                                 service.port,
                                 service.target.value_or(SocketAddress{address, service.port}),
                                 name_of(service.protocol)});
  }
  json["networking"] = std::move(networking);
  dataplane.json = observe::dump(json);
  return dataplane;
}

std::string transparent_proxy_json(const Redirection& redirection) {
  if (!redirection.inbound && !redirection.outbound) return {};
  const auto entry = [](bool is_enabled, std::uint16_t port) {
    return Json{{"enabled", is_enabled}, {"port", port}};
  };
  return observe::dump({{"ipFamilyMode", redirection.ipv6 ? "dualstack" : "ipv4"},
                        {"redirect",
                         {{"inbound", entry(redirection.inbound, redirection.inbound_port)},
                          {"outbound", entry(redirection.outbound, redirection.outbound_port)},
                          {"dns", entry(redirection.dns, redirection.dns_port)},
                          {"vnet", Json::object()}}}});
}

}  // namespace mooring::app
