// Why a connection ended. One value per connection, written by its one finish(); an API of the
// access log, the metrics and `mooring why`.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace mooring::observe {

/// Of a connection, seen from this host's application: inbound is served here, outbound was begun
/// here. The TLS side of an inbound connection is its downstream, of an outbound one its upstream.
enum class Direction : std::uint8_t { inbound, outbound };
[[nodiscard]] const char* to_string(Direction direction) noexcept;

enum class CloseReason : std::uint8_t {
  closed,            // both sides ended their streams in order
  downstream_reset,  // the client side reset
  upstream_reset,    // the server side reset
  truncated,         // a TLS peer ended TCP without close_notify
  tls_error,         // after the handshake: a bad record, or an alert of the peer
  connect_refused,   // every endpoint refused
  connect_timeout,
  connect_unreachable,
  no_endpoint,        // the cluster has no endpoint
  no_route,           // captured, matches nothing, and the configuration refuses that
  no_filter_chain,    // captured, and its listener has no filter chain for it
  not_served,         // its filter chain is one that this agent cannot serve
  self_call,          // the agent would have connected to itself
  no_identity,        // this host has no certificate yet, and the chain needs one
  plaintext_refused,  // a strict port got bytes that are no ClientHello
  handshake_timeout,
  handshake_failed,  // the peer broke TLS, or nothing in common
  no_peer_certificate,
  peer_untrusted,    // no path to a trust anchor of its trust domain
  peer_expired,      // outside its validity
  bad_identity,      // not exactly one usable SPIFFE ID
  unexpected_peer,   // a valid identity, but not one that this chain or upstream accepts
  peer_rejected_us,  // the peer sent a TLS alert about our certificate
  denied,            // authorization said no
  late_tls,          // a mesh ClientHello after the peek of a server-first port
  policy_changed,    // an open connection that the new policy denies
  trust_removed,     // an open connection whose trust anchor was removed
  idle_timeout,
  rate_limited,      // the chain's rate of new connections
  upstream_limit,    // the cluster's circuit breaker
  connection_limit,  // the agent's
  handshake_limit,
  draining,          // refused or ended because the agent stops
  out_of_resources,  // descriptors or ports
};
inline constexpr std::size_t kCloseReasons =
    static_cast<std::size_t>(CloseReason::out_of_resources) + 1;

/// Snake-case name, stable.
[[nodiscard]] const char* to_string(CloseReason reason) noexcept;
/// Envoy's short flag (%RESPONSE_FLAGS%): "-", "UF", "UH", "NR", "DC", ...
[[nodiscard]] const char* response_flags(CloseReason reason, Direction direction) noexcept;
/// One sentence each for `mooring why`: what happened, and what to do. {peer}, {self}, {name},
/// {destination}, {rule} and {detail} stand for the facts of a record; observe/why.h fills them in.
[[nodiscard]] std::string_view cause(CloseReason reason) noexcept;
[[nodiscard]] std::string_view remedy(CloseReason reason) noexcept;
/// True for a connection that ended as its applications wanted.
[[nodiscard]] bool is_orderly(CloseReason reason) noexcept;

}  // namespace mooring::observe
