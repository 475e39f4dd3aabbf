// What this host tells a Kuma control plane about itself: the Dataplane, and which redirections are
// in force. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "config/model.h"
#include "core/address.h"
#include "core/result.h"

namespace mooring::app {

struct DataplaneInbound {
  std::string name;  // of the port; may be empty
  std::uint16_t port = 0;
  SocketAddress service;  // where the application listens
  std::string protocol = "tcp";

  friend bool operator==(const DataplaneInbound&, const DataplaneInbound&) = default;
};

struct Dataplane {
  std::string mesh;
  std::string name;
  std::string workload;  // label kuma.io/workload; empty: none
  IpAddress address;     // networking.address
  std::vector<DataplaneInbound> inbound;
  bool has_outbounds = false;  // declared ones, which a control plane refuses beside capture
  std::string json;            // `dataplaneResource` of the bootstrap request

  friend bool operator==(const Dataplane&, const Dataplane&) = default;
};

/// The label that names the workload: the control plane makes a MeshService of it.
inline constexpr std::string_view kWorkloadLabel = "kuma.io/workload";

/// Largest Dataplane file, in bytes; 1,000 inbounds of 60 bytes fit.
inline constexpr std::size_t kMaxDataplaneBytes = 64 * 1024;

/// From [control_plane] and the services, for a host that others reach at `address`. An inbound
/// without `target` names no serviceAddress: then it is networking.address itself, which Kuma would
/// refuse if it were written.
[[nodiscard]] Dataplane compose_dataplane(const config::ControlPlane& control_plane,
                                          const std::vector<config::Service>& services,
                                          const IpAddress& address);

/// From a file in YAML or JSON. Mesh, name and workload that `control_plane` has set must be the
/// file's; those that the file leaves out are taken from there. Names of the file are in `path` of
/// the diagnostic, with line and column for a syntax error.
[[nodiscard]] Checked<Dataplane> parse_dataplane(std::string_view text,
                                                 const std::string& path,
                                                 const config::ControlPlane& control_plane);

/// What is redirected to the agent, by its own rules.
struct Redirection {
  bool inbound = false;
  bool outbound = false;
  bool dns = false;
  bool ipv6 = false;
  std::uint16_t inbound_port = 15006;
  std::uint16_t outbound_port = 15001;
  std::uint16_t dns_port = 15053;

  friend bool operator==(const Redirection&, const Redirection&) = default;
};

/// `dataplaneConfig` of the bootstrap request; empty where nothing is redirected, which is said by
/// leaving it out.
[[nodiscard]] std::string transparent_proxy_json(const Redirection& redirection);

}  // namespace mooring::app
