// The static configuration as values: what agent.toml and conf.d/*.toml say, validated, with
// defaults filled in. Who owns it: the caller of load(). Deeply immutable once published.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/address.h"
#include "core/clock.h"
#include "core/log.h"

namespace mooring::config {

struct Host {
  std::string name;          // [host] name; default: the kernel's host name
  std::string trust_domain;  // [host] trust_domain; empty where a control plane names it

  friend bool operator==(const Host&, const Host&) = default;
};

/// Bundle of another trust domain: [identity.federated] "domain" = "file".
struct FederatedBundle {
  std::string trust_domain;
  std::string file;

  friend bool operator==(const FederatedBundle&, const FederatedBundle&) = default;
};

/// [identity]: PEM files, re-read when they change. Absent: a host that has no identity yet.
struct Identity {
  std::string svid_file;    // leaf first, then intermediates
  std::string key_file;     // not readable by others
  std::string bundle_file;  // trust anchors of host.trust_domain
  std::vector<FederatedBundle> federated;

  friend bool operator==(const Identity&, const Identity&) = default;
};

enum class TlsMode : std::uint8_t { strict, permissive };

/// An exact SPIFFE ID, or every ID below a path: "spiffe://td/team/*" is held as
/// {"spiffe://td/team/", true}.
struct SpiffePattern {
  std::string text;
  bool is_prefix = false;

  friend bool operator==(const SpiffePattern&, const SpiffePattern&) = default;
};

/// What a control plane is told about a service: it answers HTTP services with HTTP listeners.
enum class Protocol : std::uint8_t { tcp, http, http2, grpc };

/// [[service]]: an application on this host. With [control_plane] it is an inbound of the
/// Dataplane, and only name, port, target, protocol and probe are written.
struct Service {
  std::string name;
  std::uint16_t port = 0;  // the application's port, as clients dial it
  TlsMode mode = TlsMode::strict;
  bool server_first = false;
  std::optional<SocketAddress> target;  // default: the host address that the client dialled
  std::optional<SocketAddress> listen;  // bind here instead of capturing `port`; needs `target`
  std::vector<SpiffePattern> allow;
  std::vector<SpiffePattern> deny;
  std::vector<SpiffePattern>
      shadow_allow;  // what an allow list would let in; only logged and counted
  std::vector<SpiffePattern> shadow_deny;
  Milliseconds idle_timeout{0};  // 0: none
  Protocol protocol = Protocol::tcp;
  bool probe = true;  // the control plane may ask whether the application accepts connections

  friend bool operator==(const Service&, const Service&) = default;
};

/// One destination that applications dial: a block, or a host name that the agent resolves.
struct Destination {
  std::optional<IpPrefix> prefix;
  std::string host_name;  // used when prefix is empty

  friend bool operator==(const Destination&, const Destination&) = default;
};

struct EndpointAddress {
  std::optional<SocketAddress> address;
  std::string host_name;  // with port, when address is empty
  std::uint16_t port = 0;

  friend bool operator==(const EndpointAddress&, const EndpointAddress&) = default;
};

enum class LbPolicy : std::uint8_t { round_robin, least_connections };

/// [[upstream]]: something that applications on this host call.
struct Upstream {
  std::string name;
  std::vector<Destination> addresses;  // what the applications dial
  std::vector<std::uint16_t> ports;
  std::vector<EndpointAddress> endpoints;  // empty: the address that was dialled
  std::vector<SpiffePattern> spiffe_ids;   // who may answer; never empty
  std::string sni;                         // empty: none is sent
  LbPolicy lb_policy = LbPolicy::round_robin;
  Milliseconds connect_timeout{5000};
  std::uint32_t connect_attempts = 3;  // endpoints tried for one connection
  Milliseconds idle_timeout{0};        // 0: none

  friend bool operator==(const Upstream&, const Upstream&) = default;
};

enum class OtherTraffic : std::uint8_t { pass, refuse };
enum class OnAgentDeath : std::uint8_t { open, closed };

/// [capture]: what is intercepted. Bounded by the root-owned capture.toml.
struct Capture {
  bool enabled = false;  // apply at start
  std::uint16_t outbound_port = 15001;
  std::uint16_t inbound_port = 15006;
  std::vector<IpPrefix> exclude_addresses;  // never captured, beyond the built-in exclusions
  std::vector<std::uint16_t> exclude_ports;
  OtherTraffic other =
      OtherTraffic::pass;  // outbound connections that were captured and match no upstream
  OnAgentDeath outbound_on_agent_death = OnAgentDeath::open;
  OnAgentDeath permissive_on_agent_death = OnAgentDeath::open;
  OnAgentDeath strict_on_agent_death = OnAgentDeath::closed;
  std::string helper_socket = "/run/mooring/net.sock";

  friend bool operator==(const Capture&, const Capture&) = default;
};

enum class TlsVersion : std::uint8_t { tls12, tls13 };

/// [tls]
struct Tls {
  TlsVersion min_version = TlsVersion::tls12;
  std::vector<std::string> ciphers;  // IANA names; empty: our order, AES-128-GCM first
  std::vector<std::string> groups;   // empty: X25519, P-256
  bool resumption = true;

  friend bool operator==(const Tls&, const Tls&) = default;
};

/// [limits]
struct Limits {
  std::uint32_t workers = 0;  // 0: the CPU quota
  std::uint32_t connections = 100000;
  std::uint32_t handshakes = 1000;  // in flight

  friend bool operator==(const Limits&, const Limits&) = default;
};

/// [timeouts]
struct Timeouts {
  Milliseconds handshake{10000};
  Milliseconds drain{30000};
  Milliseconds keepalive_idle{45000};
  Milliseconds keepalive_interval{10000};
  Milliseconds peek{100};  // bounded wait on server-first ports in permissive mode; at most 100 ms

  friend bool operator==(const Timeouts&, const Timeouts&) = default;
};

enum class LogFormat : std::uint8_t { json, text };

/// [log] and [access_log]
struct Logging {
  log::Level level = log::Level::info;
  std::string file;  // empty: standard error
  bool access_log = true;
  std::string access_log_file = "/dev/stdout";
  LogFormat access_log_format = LogFormat::json;
  std::string access_log_template;  // for text; Envoy's %COMMAND% names

  friend bool operator==(const Logging&, const Logging&) = default;
};

/// [admin]
struct Admin {
  std::string socket = "/run/mooring/admin.sock";
  std::optional<SocketAddress> metrics =
      SocketAddress{IpAddress::v4_loopback(), 15090};  // Prometheus; "off": none

  friend bool operator==(const Admin&, const Admin&) = default;
};

/// "https://cp.example:5678"; `host` is a name, or an IP address without brackets.
struct ControlPlaneAddress {
  std::string host;
  std::uint16_t port = 0;

  friend bool operator==(const ControlPlaneAddress&, const ControlPlaneAddress&) = default;
};

/// "http://user:password@proxy.example:3128", asked by CONNECT.
struct ControlPlaneProxy {
  std::string host;
  std::uint16_t port = 0;
  std::string credentials;  // "user:password"; a secret; empty: none

  friend bool operator==(const ControlPlaneProxy&, const ControlPlaneProxy&) = default;
};

/// [control_plane]: who this host is to a Kuma control plane, or to an xDS server of another kind,
/// which names everything else.
struct ControlPlane {
  std::string bootstrap_file;  // Envoy's, of a plain xDS server; empty: Kuma is asked for one
  std::vector<ControlPlaneAddress> addresses;  // tried in turn; empty only with bootstrap_file
  std::string ca_file;                         // PEM: who signed the control plane's certificate
  std::string token_file;                      // the dataplane token, read anew for each stream
  std::string mesh = "default";
  std::string name;                  // of the Dataplane; load() makes it host.name in small letters
  std::string workload;              // label kuma.io/workload; empty: none
  std::string dataplane_file;        // YAML or JSON; empty: composed from the services
  std::optional<IpAddress> address;  // networking.address; none: the one that the route takes
  std::optional<ControlPlaneProxy> proxy;
  std::string spire_socket;     // of a SPIRE agent, for a MeshIdentity of it; empty: Kuma's default
  bool persist_secrets = true;  // with the last good resources, in state_dir
  std::string state_dir = "/var/lib/mooring";
  std::uint16_t admin_port = 9901;  // at networking.address: `kumactl inspect` asks there
  std::uint16_t readiness_port = 9902;
  std::uint16_t dns_port = 15053;

  friend bool operator==(const ControlPlane&, const ControlPlane&) = default;
};

struct AgentConfig {
  Host host;
  std::optional<ControlPlane> control_plane;  // then there is no identity and no upstream below
  std::optional<Identity> identity;
  std::vector<Service> services;
  std::vector<Upstream> upstreams;
  Capture capture;
  Tls tls;
  Limits limits;
  Timeouts timeouts;
  Logging logging;
  Admin admin;
  std::vector<std::string> warnings;  // accepted, but the admin should know ("loopback target ...")

  friend bool operator==(const AgentConfig&, const AgentConfig&) = default;
};

}  // namespace mooring::config
