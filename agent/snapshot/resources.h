// Resources: the value types that every source fills. Names are Envoy's. A source names things and
// describes them; build() turns them into the indexed, immutable Snapshot that workers use.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "config/model.h"
#include "core/address.h"
#include "core/clock.h"

namespace mooring::snapshot {

enum class Direction : std::uint8_t { inbound, outbound };

/// What the downstream side of a filter chain speaks.
enum class DownstreamTls : std::uint8_t { none, strict, permissive };

/// An original destination. Port 0 is any port, length 0 any address of the family.
struct DestinationMatch {
  IpPrefix prefix;
  std::uint16_t port = 0;

  friend bool operator==(const DestinationMatch&, const DestinationMatch&) = default;
};

/// Deny first, then allow, else denied. The shadow lists only log and count.
struct Authorization {
  std::vector<config::SpiffePattern> allow;
  std::vector<config::SpiffePattern> deny;
  std::vector<config::SpiffePattern> shadow_allow;
  std::vector<config::SpiffePattern> shadow_deny;

  friend bool operator==(const Authorization&, const Authorization&) = default;
};

/// A listener and its one filter chain: TCP proxy to one cluster.
struct Listener {
  std::string name;
  Direction direction = Direction::outbound;
  std::vector<DestinationMatch> match;  // captured connections that are meant
  std::optional<SocketAddress> bind;    // has a socket of its own; `match` is empty
  DownstreamTls tls = DownstreamTls::none;
  bool server_first = false;
  Authorization authorization;  // inbound only
  std::string cluster;
  Milliseconds idle_timeout{0};

  friend bool operator==(const Listener&, const Listener&) = default;
};

struct Cluster {
  std::string name;
  std::vector<SocketAddress> endpoints;
  bool original_dst = false;  // no endpoints of its own: connect where the downstream meant to go
  bool local = false;  // an application on this host: see proxy/upstream for the source address
  bool mtls = false;
  std::vector<config::SpiffePattern> expected_peers;  // never empty with mtls
  std::string sni;
  config::LbPolicy lb_policy = config::LbPolicy::round_robin;
  Milliseconds connect_timeout{5000};
  std::uint32_t connect_attempts = 3;

  friend bool operator==(const Cluster&, const Cluster&) = default;
};

struct Resources {
  std::vector<Listener> listeners;
  std::vector<Cluster> clusters;
  config::OtherTraffic other = config::OtherTraffic::pass;
  config::Tls tls;

  friend bool operator==(const Resources&, const Resources&) = default;
};

}  // namespace mooring::snapshot
