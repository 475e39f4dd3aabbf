// Why a connection ended. One value per connection, written by its one finish(); an API of the access log,
// the metrics and `mooring why`.
#pragma once

#include <cstddef>
#include <cstdint>

namespace mooring::observe {

enum class CloseReason : std::uint8_t {
  closed,               // both sides ended their streams in order
  downstream_reset,     // the client side reset
  upstream_reset,       // the server side reset
  truncated,            // a TLS peer ended TCP without close_notify
  connect_refused,      // every endpoint refused
  connect_timeout,
  connect_unreachable,
  no_endpoint,          // the cluster has no endpoint
  no_route,             // captured, matches nothing, and the configuration refuses that
  self_call,            // the agent would have connected to itself
  no_identity,          // this host has no certificate yet, and the chain needs one
  plaintext_refused,    // a strict port got bytes that are no ClientHello
  handshake_timeout,
  handshake_failed,     // the peer broke TLS, or nothing in common
  no_peer_certificate,
  peer_untrusted,       // no path to a trust anchor of its trust domain
  peer_expired,         // outside its validity
  bad_identity,         // not exactly one usable SPIFFE ID
  unexpected_peer,      // a valid identity, but not one that this upstream may have
  peer_rejected_us,     // the peer sent a TLS alert about our certificate
  denied,               // authorization said no
  late_tls,             // a mesh ClientHello after the peek of a server-first port
  policy_changed,       // an open connection that the new policy denies
  trust_removed,        // an open connection whose trust anchor was removed
  idle_timeout,
  connection_limit,
  handshake_limit,
  draining,             // refused or ended because the agent stops
  out_of_resources,     // descriptors or ports
};
inline constexpr std::size_t kCloseReasons = static_cast<std::size_t>(CloseReason::out_of_resources) + 1;

/// Snake-case name, stable.
[[nodiscard]] const char* to_string(CloseReason reason) noexcept;
/// Envoy's response flag (%RESPONSE_FLAGS%): "-", "UF", "UH", "NR", "DI", ...
[[nodiscard]] const char* response_flags(CloseReason reason) noexcept;
/// One sentence each for `mooring why`: what happened, and what to do.
[[nodiscard]] const char* cause(CloseReason reason) noexcept;
[[nodiscard]] const char* remedy(CloseReason reason) noexcept;
/// True for a connection that ended as its applications wanted.
[[nodiscard]] bool is_orderly(CloseReason reason) noexcept;

}  // namespace mooring::observe
