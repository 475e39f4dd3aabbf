#include "observe/close_reason.h"

#include <array>

namespace mooring::observe {

namespace {

struct Row {
  CloseReason reason;
  const char* name;
  const char* inbound_flags;   // of Envoy's %RESPONSE_FLAGS%; TLS is on the downstream side
  const char* outbound_flags;  // TLS is on the upstream side
  bool orderly;
  std::string_view cause;
  std::string_view remedy;
};

using enum CloseReason;

// In the order of the enum; checked below.
constexpr std::array<Row, kCloseReasons> kRows{{
    {closed,
     "closed",
     "-",
     "-",
     true,
     "Both sides ended the connection in order.",
     "Nothing to do."},
    {downstream_reset,
     "downstream_reset",
     "DC",
     "DC",
     false,
     "The client's side of the connection to {name} was reset before both streams had "
     "ended{detail}.",
     "Look into the client: a crash, a timeout of its own or a pool that discards connections ends "
     "them this way."},
    {upstream_reset,
     "upstream_reset",
     "UC",
     "UC",
     false,
     "The server's side of the connection to {name} at {destination} was reset{detail}.",
     "Look into the log of the application behind {name} at that time: a crash, a restart or its "
     "own limit."},
    {truncated,
     "truncated",
     "DC",
     "UC",
     false,
     "{peer} ended TCP without TLS close_notify, so the last bytes may be missing.",
     "Look whether the process of the peer's agent was killed, or a firewall or load balancer "
     "between the hosts cut "
     "the connection."},
    {tls_error,
     "tls_error",
     "DPE",
     "UPE",
     false,
     "The TLS connection with {peer} for {name} broke after its handshake{detail}.",
     "Look for what alters bytes between the hosts (a middlebox, a broken network card), and into "
     "the log of the other host at that time."},
    {connect_refused,
     "connect_refused",
     "UF",
     "UF",
     false,
     "{destination} refused the connection to {name}{detail}.",
     "Start the application behind {name}, or correct its address and port; `ss -ltn` on its host "
     "shows whether it "
     "listens there."},
    {connect_timeout,
     "connect_timeout",
     "UF",
     "UF",
     false,
     "{destination} did not answer for {name} within the connect timeout.",
     "Look for a firewall that drops packets to {destination} and for a host that is down; "
     "connect_timeout of the "
     "upstream is the bound."},
    {connect_unreachable,
     "connect_unreachable",
     "UF",
     "UF",
     false,
     "There is no way from this host to {destination} for {name}{detail}.",
     "Check the routes (`ip route get`) and the address that is configured for {name}."},
    {no_endpoint,
     "no_endpoint",
     "UH",
     "UH",
     false,
     "{name} has no endpoint that could be tried{detail}.",
     "Give {name} endpoints, check that its host names resolve, or wait until the ejected ones are "
     "tried again; "
     "`mooring status` lists them."},
    {no_route,
     "no_route",
     "NR",
     "NR",
     false,
     "A connection to {destination} was captured, matches no upstream, and other traffic is "
     "refused.",
     "Add an upstream for {destination}, exclude the address from capture, or set capture.other to "
     "pass."},
    {no_filter_chain,
     "no_filter_chain",
     "NR",
     "NR",
     false,
     "{name} has no filter chain for a connection to {destination} that begins as this one did.",
     "If {destination} is meant to be reached, let the control plane's policies declare its port "
     "and protocol; `mooring status` shows what this host was given."},
    {not_served,
     "not_served",
     "NR",
     "NR",
     false,
     "{name} asks for what this agent does not serve{detail}.",
     "Declare the port as TCP in the mesh, or take its destination out of capture, until an agent "
     "that serves it is installed."},
    {self_call,
     "self_call",
     "NR",
     "NR",
     false,
     "The connection to {destination} would have led from the agent back into the agent.",
     "Take the agent's own ports out of the configured targets and endpoints, and let the "
     "application call the "
     "service's port instead."},
    {no_identity,
     "no_identity",
     "-",
     "UF",
     false,
     "This host has no certificate yet, and {name} needs one.",
     "Put the certificate, key and bundle in place that [identity] names; `mooring status` says "
     "what is missing."},
    {plaintext_refused,
     "plaintext_refused",
     "DPE",
     "DPE",
     false,
     "{peer} spoke plain text to {name}, which accepts mutual TLS only.",
     "Bring the client's host into the mesh, or set mode to permissive for {name} while you "
     "migrate."},
    {handshake_timeout,
     "handshake_timeout",
     "DPE",
     "UF",
     false,
     "The TLS handshake with {peer} for {name} did not finish in time.",
     "Look for a peer that is overloaded or no mesh peer at all, and for lost packets; "
     "timeouts.handshake is the "
     "bound."},
    {handshake_failed,
     "handshake_failed",
     "DPE",
     "UF",
     false,
     "The TLS handshake with {peer} for {name} failed{detail}.",
     "Check that the other end is a mesh peer and that both allow a common TLS version, cipher and "
     "group "
     "(tls.min_version, tls.ciphers, tls.groups)."},
    {no_peer_certificate,
     "no_peer_certificate",
     "DPE",
     "UF",
     false,
     "{peer} showed no certificate for {name}.",
     "Bring the other host into the mesh: a TLS client or server without a mesh identity is "
     "refused."},
    {peer_untrusted,
     "peer_untrusted",
     "DPE",
     "UF",
     false,
     "The certificate of {peer} leads to no trust anchor of its trust domain that this host "
     "has{detail}.",
     "Compare the bundles of both hosts: add the other CA to identity.bundle, or its trust domain "
     "to [identity.federated]."},
    {peer_expired,
     "peer_expired",
     "DPE",
     "UF",
     false,
     "The certificate of {peer} is outside its validity period{detail}.",
     "Renew the certificate on the other host, and compare the clocks of both hosts."},
    {bad_identity,
     "bad_identity",
     "DPE",
     "UF",
     false,
     "The certificate of {peer} does not hold exactly one usable SPIFFE ID{detail}.",
     "Issue an X.509-SVID to the other host: one URI SAN, spiffe://trust-domain/path, not a CA."},
    {unexpected_peer,
     "unexpected_peer",
     "DPE",
     "UF",
     false,
     "The other end of the connection to {destination} has the identity {peer}, which {name} does "
     "not accept.",
     "If that identity is right, add it to spiffe_ids of {name} or let the mesh name it; if not, "
     "something else than what is meant is at the other end."},
    {peer_rejected_us,
     "peer_rejected_us",
     "DPE",
     "UF",
     false,
     "The other side of {name} refused the certificate of this host, {self}, by a TLS "
     "alert{detail}.",
     "Look into the other host's log: it may lack this host's CA or trust domain, or find the "
     "certificate expired."},
    {denied,
     "denied",
     "-",
     "-",
     false,
     "{peer} may not call {name}: {rule}.",
     "If this caller is meant to be let in, add its SPIFFE ID to allow of {name} and take it out "
     "of deny."},
    {late_tls,
     "late_tls",
     "DPE",
     "DPE",
     false,
     "{peer} began mutual TLS with the server-first service {name} after the agent had stopped "
     "waiting for it.",
     "Set mode to strict for {name} once all its callers are in the mesh, or find what delays that "
     "peer's first bytes."},
    {policy_changed,
     "policy_changed",
     "-",
     "-",
     false,
     "The policy of {name} was changed and no longer allows the open connection of {peer}: {rule}.",
     "If this caller is meant to stay, add its SPIFFE ID to allow of {name}."},
    {trust_removed,
     "trust_removed",
     "-",
     "-",
     false,
     "The trust anchor that had verified {peer} was removed from this host's bundle.",
     "Give the other host a certificate of a CA that is still trusted, or put the anchor back."},
    {idle_timeout,
     "idle_timeout",
     "SI",
     "SI",
     false,
     "The connection to {name} was idle for longer than its idle_timeout.",
     "Raise or remove idle_timeout of {name} if its clients keep pools of idle connections."},
    {rate_limited,
     "rate_limited",
     "RL",
     "RL",
     false,
     "Connections to {name} came faster than its rate limit allows.",
     "Let the clients keep their connections in a pool, or raise the rate limit that the mesh sets "
     "for {name}."},
    {upstream_limit,
     "upstream_limit",
     "UO",
     "UO",
     false,
     "This host already had as many connections to the servers of {name} as its circuit breaker "
     "allows.",
     "Raise max_connections of the circuit breaker that the mesh sets for {name}, or look for a "
     "client that leaks connections."},
    {connection_limit,
     "connection_limit",
     "UO",
     "UO",
     false,
     "The agent already had as many connections as limits.connections allows.",
     "Raise limits.connections and the descriptor limit of the service, or look for a client that "
     "leaks connections."},
    {handshake_limit,
     "handshake_limit",
     "UO",
     "UO",
     false,
     "The connection waited in vain for its TLS handshake to begin: limits.handshakes of them were "
     "in flight.",
     "Raise limits.handshakes, or look for a client that reconnects in a loop."},
    {draining,
     "draining",
     "-",
     "-",
     false,
     "The agent was stopping or was told to drain.",
     "Nothing to do if that was intended; the client can connect again once the agent runs."},
    {out_of_resources,
     "out_of_resources",
     "UF",
     "UF",
     false,
     "The host had no descriptor or port left for the connection to {name}{detail}.",
     "Raise LimitNOFILE of the service, or net.ipv4.ip_local_port_range where one destination "
     "takes all ports."},
}};

constexpr bool in_order() {
  for (std::size_t i = 0; i < kRows.size(); ++i) {
    if (static_cast<std::size_t>(kRows[i].reason) != i || kRows[i].name == nullptr) return false;
  }
  return true;
}
static_assert(in_order());

const Row& row(CloseReason reason) noexcept {
  return kRows[static_cast<std::size_t>(reason)];
}

}  // namespace

const char* to_string(Direction direction) noexcept {
  return direction == Direction::inbound ? "inbound" : "outbound";
}

const char* to_string(CloseReason reason) noexcept {
  return row(reason).name;
}

const char* response_flags(CloseReason reason, Direction direction) noexcept {
  return direction == Direction::inbound ? row(reason).inbound_flags : row(reason).outbound_flags;
}

std::string_view cause(CloseReason reason) noexcept {
  return row(reason).cause;
}

std::string_view remedy(CloseReason reason) noexcept {
  return row(reason).remedy;
}

bool is_orderly(CloseReason reason) noexcept {
  return row(reason).orderly;
}

}  // namespace mooring::observe
