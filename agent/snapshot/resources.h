// Resources: the value types that every source fills. Names are Envoy's. A source names things and
// describes them; build() turns them into the indexed, immutable Snapshot that workers use.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "config/model.h"
#include "core/address.h"
#include "core/clock.h"

namespace mooring::snapshot {

enum class Direction : std::uint8_t { inbound, outbound };

// --- Matching -----------------------------------------------------------------------------------

/// envoy.type.matcher.v3.StringMatcher. A safe_regex is RE2 syntax and must match the whole text.
struct StringMatcher {
  enum class Kind : std::uint8_t { exact, prefix, suffix, contains, safe_regex };
  Kind kind = Kind::exact;
  std::string text;
  bool ignore_case = false;  // not for safe_regex

  friend bool operator==(const StringMatcher&, const StringMatcher&) = default;
};

/// A subject alternative name of a certificate.
struct SubjectAltNameMatcher {
  enum class Type : std::uint8_t { uri, dns, ip_address, email };
  Type type = Type::uri;
  StringMatcher matcher;

  friend bool operator==(const SubjectAltNameMatcher&, const SubjectAltNameMatcher&) = default;
};

// --- TLS ----------------------------------------------------------------------------------------

struct TlsParameters {
  config::TlsVersion min_version = config::TlsVersion::tls12;
  config::TlsVersion max_version = config::TlsVersion::tls13;
  std::vector<std::string> ciphers;  // IANA names; empty: our order
  std::vector<std::string> groups;   // empty: X25519, P-256
  bool resumption = true;

  friend bool operator==(const TlsParameters&, const TlsParameters&) = default;
};

/// Upstream or downstream TLS context. Certificate and validation are names of secrets.
struct TlsContext {
  std::string certificate;  // empty: none is presented (upstream only)
  std::string validation;   // empty: the peer is not verified
  /// The peer needs a name that one of these matches; empty: any name that is trusted.
  std::vector<SubjectAltNameMatcher> peer_names;
  TlsParameters parameters;
  std::vector<std::string> alpn;           // offered by a client; a server selects none
  std::string sni;                         // upstream only; empty: none is sent
  bool require_client_certificate = true;  // downstream only

  friend bool operator==(const TlsContext&, const TlsContext&) = default;
};

/// What is presented. PEM; the chain begins with the leaf.
struct TlsCertificate {
  std::string chain_pem;
  std::string key_pem;

  friend bool operator==(const TlsCertificate&, const TlsCertificate&) = default;
};

/// Anchors by trust domain: the peer's SPIFFE ID says which of them count
/// (envoy.tls.cert_validator.spiffe).
struct SpiffeBundles {
  std::map<std::string, std::string> pem_by_trust_domain;

  friend bool operator==(const SpiffeBundles&, const SpiffeBundles&) = default;
};

/// Anchors for whatever name the peer has (CertificateValidationContext.trusted_ca).
struct TrustedCa {
  std::string pem;

  friend bool operator==(const TrustedCa&, const TrustedCa&) = default;
};

struct Secret {
  std::string name;
  std::variant<TlsCertificate, SpiffeBundles, TrustedCa> value;
  std::vector<SubjectAltNameMatcher>
      peer_names;  // of a validation context; in addition to the TlsContext's

  friend bool operator==(const Secret&, const Secret&) = default;
};

// --- Authorization (network RBAC) ----------------------------------------------------------------

/// A condition on a connection; a tree.
struct Condition {
  enum class Kind : std::uint8_t {
    any,
    all_of,          // of `of`
    any_of,          // of `of`
    none_of,         // of `of`, which has one element
    authenticated,   // the peer presented a verified certificate
    peer_name,       // some URI SAN of the peer is matched by `text` (DNS SAN where it has no URI)
    server_name,     // the SNI is matched by `text`
    destination_ip,  // `prefix`; the original destination
    source_ip,       // `prefix`; the peer's address
    destination_port,  // `port_begin` to `port_end`, both included
  };
  Kind kind = Kind::any;
  StringMatcher text;
  IpPrefix prefix;
  std::uint16_t port_begin = 0;
  std::uint16_t port_end = 0;
  std::vector<Condition> of;

  friend bool operator==(const Condition&, const Condition&) = default;
};

struct Rule {
  std::string name;  // of the policy, for access log and `why`
  bool allow = false;
  Condition condition;

  friend bool operator==(const Rule&, const Rule&) = default;
};

/// The first rule whose condition holds decides.
struct RuleList {
  std::vector<Rule> rules;
  bool allow_otherwise = false;
  std::string otherwise;  // its name

  friend bool operator==(const RuleList&, const RuleList&) = default;
};

/// One RBAC filter.
struct Authorization {
  std::optional<RuleList> rules;   // none: everything is allowed
  std::optional<RuleList> shadow;  // only logged and counted
  std::string stat_prefix;

  friend bool operator==(const Authorization&, const Authorization&) = default;
};

// --- Listeners -----------------------------------------------------------------------------------

/// An original destination. Port 0 is any port, length 0 any address of the family.
struct DestinationMatch {
  IpPrefix prefix;
  std::uint16_t port = 0;

  friend bool operator==(const DestinationMatch&, const DestinationMatch&) = default;
};

/// envoy.config.listener.v3.FilterChainMatch, in Envoy's precedence: port, prefix, server name,
/// transport protocol, application protocols.
struct FilterChainMatch {
  std::uint16_t destination_port = 0;              // 0: any
  std::vector<IpPrefix> prefix_ranges;             // empty: any
  std::vector<std::string> server_names;           // lower case; "*.example.com"; empty: any
  std::string transport_protocol;                  // "tls", "raw_buffer"; empty: any
  std::vector<std::string> application_protocols;  // "kuma", "h2c", "http/1.1"; empty: any

  friend bool operator==(const FilterChainMatch&, const FilterChainMatch&) = default;
};

struct WeightedCluster {
  std::string name;
  std::uint32_t weight = 1;

  friend bool operator==(const WeightedCluster&, const WeightedCluster&) = default;
};

/// envoy.filters.network.local_ratelimit: connections.
struct TokenBucket {
  std::uint32_t max_tokens = 0;
  std::uint32_t tokens_per_fill = 1;
  Milliseconds fill_interval{0};

  friend bool operator==(const TokenBucket&, const TokenBucket&) = default;
};

/// Where the lines of a chain's connections go as well.
struct AccessLog {
  std::string path;
  std::string text_format;  // Envoy's %COMMAND%; or
  std::string json_format;  // a JSON object of such texts; both empty: Envoy's default format
  bool omit_empty_values = false;

  friend bool operator==(const AccessLog&, const AccessLog&) = default;
};

struct FilterChain {
  std::string name;
  FilterChainMatch match;
  std::optional<TlsContext> tls;             // none: the bytes are passed on as they come
  std::vector<Authorization> authorization;  // all of them must allow
  std::vector<TokenBucket> rate_limits;
  std::vector<WeightedCluster> clusters;  // weights add up to at least 1
  Milliseconds idle_timeout{0};           // 0: none
  std::uint32_t max_connect_attempts = 1;
  std::vector<AccessLog> access_logs;
  /// Not empty: this agent does not serve it, and why; its connections are refused.
  std::string not_served;

  friend bool operator==(const FilterChain&, const FilterChain&) = default;
};

/// Chosen by original destination, or with a socket of its own; then one of its chains is chosen.
struct Listener {
  std::string name;
  Direction direction = Direction::outbound;
  std::vector<DestinationMatch> match;  // captured connections that are meant
  std::optional<SocketAddress> bind;    // has a socket of its own; `match` is empty
  bool tls_inspector = false;           // first bytes are looked at: transport protocol, SNI, ALPN
  bool http_inspector = false;          // the same for HTTP/1 and HTTP/2 in plain text
  /// The inspectors wait for a silent client no longer than the peek timeout; otherwise until it
  /// speaks.
  bool server_first = false;
  std::vector<FilterChain> chains;

  friend bool operator==(const Listener&, const Listener&) = default;
};

// --- Clusters and endpoints ----------------------------------------------------------------------

enum class HealthStatus : std::uint8_t { unknown, healthy, unhealthy, draining, timeout, degraded };

struct LbEndpoint {
  std::optional<SocketAddress> address;
  std::string host_name;  // with port, when address is empty (STRICT_DNS)
  std::uint16_t port = 0;
  std::uint32_t weight = 1;
  HealthStatus health = HealthStatus::unknown;
  std::map<std::string, std::string>
      transport_socket_match;  // metadata that Cluster::socket_matches look at

  friend bool operator==(const LbEndpoint&, const LbEndpoint&) = default;
};

struct LocalityEndpoints {
  std::string region, zone, sub_zone;
  std::uint32_t priority = 0;
  std::uint32_t weight = 0;  // 0: none was given
  std::vector<LbEndpoint> endpoints;

  friend bool operator==(const LocalityEndpoints&, const LocalityEndpoints&) = default;
};

/// ClusterLoadAssignment.
struct LoadAssignment {
  std::string name;  // Cluster::endpoints_name
  std::vector<LocalityEndpoints> localities;
  std::uint32_t overprovisioning_percent = 140;

  friend bool operator==(const LoadAssignment&, const LoadAssignment&) = default;
};

enum class LbPolicy : std::uint8_t { round_robin, least_request, random, ring_hash, maglev };

/// Envoy's defaults.
struct LoadBalancing {
  LbPolicy policy = LbPolicy::round_robin;
  std::uint32_t choice_count = 2;    // least_request
  double active_request_bias = 1.0;  // least_request
  std::uint64_t minimum_ring_size = 1024;
  std::uint64_t maximum_ring_size = 8388608;
  bool murmur_hash = false;  // else xxHash
  std::uint64_t maglev_table_size = 65537;
  double panic_threshold_percent = 50;
  bool fail_traffic_on_panic = false;
  bool locality_weighted = false;

  friend bool operator==(const LoadBalancing&, const LoadBalancing&) = default;
};

struct CircuitBreakers {
  std::uint32_t max_connections = 1024;  // per cluster and host

  friend bool operator==(const CircuitBreakers&, const CircuitBreakers&) = default;
};

/// envoy.config.cluster.v3.OutlierDetection as far as TCP knows it: a connection that was made is a
/// success, one that was not is a failure of local origin.
struct OutlierDetection {
  Milliseconds interval{10000};
  Milliseconds base_ejection_time{30000};
  Milliseconds max_ejection_time{300000};
  std::uint32_t max_ejection_percent = 10;
  bool split_external_local_origin_errors = false;
  std::uint32_t consecutive_5xx = 5;  // local origin errors count too, unless split
  std::uint32_t enforcing_consecutive_5xx = 100;
  std::uint32_t consecutive_gateway_failure = 5;
  std::uint32_t enforcing_consecutive_gateway_failure = 0;
  std::uint32_t consecutive_local_origin_failure = 5;  // when split
  std::uint32_t enforcing_consecutive_local_origin_failure = 100;
  std::uint32_t success_rate_minimum_hosts = 5;
  std::uint32_t success_rate_request_volume = 100;
  std::uint32_t success_rate_stdev_factor = 1900;
  std::uint32_t enforcing_success_rate = 100;
  std::uint32_t enforcing_local_origin_success_rate = 100;
  std::uint32_t failure_percentage_threshold = 85;
  std::uint32_t failure_percentage_minimum_hosts = 5;
  std::uint32_t failure_percentage_request_volume = 50;
  std::uint32_t enforcing_failure_percentage = 0;
  std::uint32_t enforcing_failure_percentage_local_origin = 0;

  friend bool operator==(const OutlierDetection&, const OutlierDetection&) = default;
};

/// Active TCP health check, over the cluster's TLS. Empty send: connecting is enough.
struct HealthCheck {
  Milliseconds timeout{0};
  Milliseconds interval{0};
  Milliseconds initial_jitter{0};
  Milliseconds interval_jitter{0};
  std::uint32_t interval_jitter_percent = 0;
  Milliseconds no_traffic_interval{60000};
  std::uint32_t unhealthy_threshold = 1;
  std::uint32_t healthy_threshold = 1;
  std::string send;                  // bytes
  std::vector<std::string> receive;  // bytes, in this order, anything between them
  bool reuse_connection = true;

  friend bool operator==(const HealthCheck&, const HealthCheck&) = default;
};

/// Endpoints whose metadata has all of `match` use `tls` (none: plain text). The first one counts.
struct SocketMatch {
  std::string name;
  std::map<std::string, std::string> match;
  std::optional<TlsContext> tls;

  friend bool operator==(const SocketMatch&, const SocketMatch&) = default;
};

struct Cluster {
  enum class Type : std::uint8_t { static_list, eds, strict_dns, original_dst };
  std::string name;
  Type type = Type::static_list;
  std::string endpoints_name;  // eds: of the LoadAssignment resource
  LoadAssignment endpoints;    // static_list, strict_dns
  bool local = false;  // an application on this host: see proxy/connect for the source address
  std::optional<IpAddress> bind;  // source address (upstream_bind_config)
  std::optional<TlsContext> tls;
  std::vector<SocketMatch> socket_matches;
  LoadBalancing lb;
  CircuitBreakers circuit_breakers;
  std::optional<OutlierDetection> outlier_detection;
  std::vector<HealthCheck> health_checks;
  Milliseconds connect_timeout{5000};

  friend bool operator==(const Cluster&, const Cluster&) = default;
};

// --- All of them ---------------------------------------------------------------------------------

struct Resources {
  std::vector<Listener> listeners;
  std::vector<Cluster> clusters;
  std::vector<LoadAssignment> endpoints;  // of eds clusters
  std::vector<Secret> secrets;

  friend bool operator==(const Resources&, const Resources&) = default;
};

}  // namespace mooring::snapshot
