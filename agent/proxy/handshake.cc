// TLS with the other host's agent, and what its identity may do.
#include "core/ascii.h"
#include "core/escape.h"
#include "policy/authorize.h"
#include "proxy/tls_options.h"
#include "proxy/worker_loop.h"

namespace mooring::proxy {

using observe::CloseReason;

namespace {

CloseReason reason_of(tls::Failure failure) {
  switch (failure) {
    case tls::Failure::none:
    case tls::Failure::protocol:
      return CloseReason::handshake_failed;
    case tls::Failure::no_peer_certificate:
      return CloseReason::no_peer_certificate;
    case tls::Failure::untrusted:
      return CloseReason::peer_untrusted;
    case tls::Failure::expired:
      return CloseReason::peer_expired;
    case tls::Failure::bad_identity:
      return CloseReason::bad_identity;
    case tls::Failure::unexpected_peer:
      return CloseReason::unexpected_peer;
    case tls::Failure::peer_alert:
      return CloseReason::peer_rejected_us;
    case tls::Failure::truncated:
      return CloseReason::truncated;
    case tls::Failure::plaintext:
      return CloseReason::plaintext_refused;
  }
  return CloseReason::handshake_failed;
}

}  // namespace

void Conn::start_server_handshake() {
  constexpr auto kRole = HandshakeRole::server;
  if (chain_->transport.part == nullptr) return finish(CloseReason::no_identity);
  if (worker_.handshakes_full(kRole, handshake_group(kRole))) {
    phase_ = Phase::awaiting_slot;
    handshake_role_ = kRole;
    set_deadline(worker_.options().handshake_timeout);
    downstream_.tcp->stop_reading();
    return worker_.wait_for_slot(kRole, id_, handshake_group(kRole));
  }
  tls::Context* context = worker_.tls_context(chain_->transport.part);
  if (context == nullptr) return finish(CloseReason::no_identity);
  auto session = context->make_server({.expected_peers = chain_->transport.peer_names});
  if (!session) return finish(CloseReason::out_of_resources, describe(session.error()));
  downstream_.tls = std::move(*session);
  phase_ = Phase::handshaking;
  enter_handshake(kRole);
  downstream_.tcp->start_reading();
  if (const auto first = take_held(downstream_); !first.empty()) handshake(downstream_, first);
}

void Conn::start_client_handshake() {
  const std::string key = resume_key(cluster_->name, upstream_remote_, *transport_);
  tls::Context* context = worker_.tls_context(transport_->part);
  if (context == nullptr) return finish(CloseReason::no_identity);
  auto session = context->make_client(client_options(*transport_, key));
  if (!session) return finish(CloseReason::out_of_resources, describe(session.error()));
  upstream_.tls = std::move(*session);
  phase_ = Phase::handshaking_up;
  set_deadline(worker_.options().handshake_timeout);  // its place it has since before the connect
  upstream_.tcp->start_reading();
  const tls::Step step = upstream_.tls->start();
  upstream_.tcp->write(step.to_peer);
  if (step.failure != tls::Failure::none) fail_tls(upstream_, step);
}

void Conn::on_handshake_turn() {
  if (phase_ == Phase::awaiting_slot) {
    clear_deadline();
    if (handshake_role_ == HandshakeRole::client) {
      enter_handshake(HandshakeRole::client);
      return connect_upstream();
    }
    use_newest();
    if (!refuse_chain()) serve_chain();
    return;
  }
  if (phase_ != Phase::handshaking && phase_ != Phase::handshaking_up) return;
  Side& side = phase_ == Phase::handshaking ? downstream_ : upstream_;
  side.tcp->start_reading();
  step_handshake(side, take_held(side));
}

void Conn::handshake(Side& side, Bytes bytes) {
  if (worker_.take_handshake_step()) return step_handshake(side, bytes);
  hold(side, bytes);
  side.tcp->stop_reading();
  worker_.wait_for_step(id_);
}

void Conn::step_handshake(Side& side, Bytes bytes) {
  const tls::Step step = side.tls->feed(bytes);
  side.tcp->write(step.to_peer);
  has_answered_ = has_answered_ || !step.to_peer.empty();
  if (step.failure != tls::Failure::none) return fail_tls(side, step);
  if (!step.handshake_done) return;
  // Application bytes that came with the last flight, and their end.
  hold(side, step.plain);
  side.read_ended = step.peer_closed;
  on_handshake_done(side);
}

void Conn::on_handshake_done(Side& side) {
  leave_handshake();
  clear_deadline();
  // What came into force during the handshake counts.
  recheck(worker_.snapshot());
  if (phase_ == Phase::closing) return;
  const bool resumed = side.tls->peer().resumed;
  if (&side == &upstream_) {
    cluster_stats_->ssl_handshake.add();
    if (resumed) cluster_stats_->ssl_session_reused.add();
    return start_relay();
  }
  stats_->ssl_handshake.add();
  if (resumed) stats_->ssl_session_reused.add();
  side.tcp->stop_reading();
  authorize();
}

policy::Verdict Conn::verdict_of(const snapshot::ListenerPart& listener,
                                 const snapshot::ChainPart& chain) const {
  policy::ConnFacts facts;
  facts.destination = downstream_local_;
  facts.source = downstream_remote_.ip;
  if (first_facts_) facts.server_name = first_facts_->server_name;
  std::string server_name;
  std::vector<std::string_view> uri_names;
  std::vector<std::string_view> dns_names;
  if (downstream_.tls) {
    const tls::PeerInfo& peer = downstream_.tls->peer();
    facts.is_authenticated = peer.names != nullptr;
    server_name = lower_ascii(peer.sni);
    facts.server_name = server_name;
    if (peer.names) {
      for (const identity::Name name : *peer.names) {
        if (name.type == identity::NameType::uri) uri_names.push_back(name.text);
        if (name.type == identity::NameType::dns) dns_names.push_back(name.text);
      }
    }
    facts.uri_names = uri_names;
    facts.dns_names = dns_names;
  }
  return policy::authorize(chain.spec->authorization, facts, listener.regexes.get());
}

void Conn::authorize() {
  // The policy in force now, not the one of the connection's first packet.
  use_newest();
  if (refuse_chain()) return;
  policy::Verdict verdict = verdict_of(*listener_, *chain_);
  rule_ = std::move(verdict.rule);
  shadow_ = std::move(verdict.shadow);
  (verdict.allowed ? stats_->rbac_allowed : stats_->rbac_denied).add();
  if (!shadow_.empty()) {
    (verdict.shadow_allowed ? stats_->rbac_shadow_allowed : stats_->rbac_shadow_denied).add();
  }
  if (!verdict.allowed) return finish(CloseReason::denied);
  begin_upstream();
}

void Conn::count_tls_failure(const Side& side, tls::Failure failure) {
  const bool is_upstream = &side == &upstream_;
  if (is_upstream && cluster_stats_ == nullptr) return;
  (is_upstream ? cluster_stats_->ssl_connection_error : stats_->ssl_connection_error).add();
  switch (failure) {
    case tls::Failure::no_peer_certificate:
      (is_upstream ? cluster_stats_->ssl_fail_verify_no_cert : stats_->ssl_fail_verify_no_cert)
          .add();
      break;
    case tls::Failure::untrusted:
    case tls::Failure::expired:
    case tls::Failure::bad_identity:
      (is_upstream ? cluster_stats_->ssl_fail_verify_error : stats_->ssl_fail_verify_error).add();
      break;
    case tls::Failure::unexpected_peer:
      (is_upstream ? cluster_stats_->ssl_fail_verify_san : stats_->ssl_fail_verify_san).add();
      break;
    case tls::Failure::none:
    case tls::Failure::protocol:
    case tls::Failure::peer_alert:
    case tls::Failure::truncated:
    case tls::Failure::plaintext:
      break;
  }
}

void Conn::fail_tls(Side& side, const tls::Step& step) {
  count_tls_failure(side, step.failure);
  // The session's text names the library's reason; a peer may have chosen part of it.
  std::string text = escape_peer_text(side.tls->failure_text());
  if (&side == &upstream_) return fail_upstream(reason_of(step.failure), std::move(text));
  finish(reason_of(step.failure), std::move(text));
}

}  // namespace mooring::proxy
