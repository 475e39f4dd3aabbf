// Open connections under a new snapshot: is the peer still trusted, still expected, still allowed?
#include <algorithm>

#include "proxy/worker_loop.h"

namespace mooring::proxy {

using observe::CloseReason;

bool Conn::is_trusted_by(const snapshot::Snapshot& snapshot, const Side& side) const {
  const snapshot::Transport& transport = &side == &downstream_ ? chain_->transport : *transport_;
  if (transport.tls == nullptr) return true;  // the newest chain asks for no TLS
  const snapshot::SecretPart* secret = snapshot.find_secret(transport.tls->validation);
  if (secret == nullptr || !secret->trusted) return true;
  const tls::PeerInfo& peer = side.tls->peer();
  return secret->trusted->contains(peer.spiffe_id, peer.trust_anchor);
}

bool Conn::is_expected_by(const snapshot::Snapshot& snapshot) const {
  const std::size_t at = snapshot.find_cluster(cluster_->name);
  if (at == snapshot::kNoMatch || snapshot.clusters[at] == cluster_) return true;
  const snapshot::ClusterPart& cluster = *snapshot.clusters[at];
  const auto& endpoints = snapshot.endpoints[at]->list;
  const auto endpoint = std::find_if(endpoints.begin(), endpoints.end(), [&](const auto& known) {
    return known.address == upstream_remote_;
  });
  const snapshot::Transport& transport =
      cluster.transport_for(endpoint == endpoints.end() ? nullptr : endpoint->spec);
  const auto& names = upstream_.tls->peer().names;
  return transport.tls == nullptr || names == nullptr ||
         identity::is_expected(transport.peer_names, *names);
}

// Only what has been decided already is looked at again; the rest is decided by the newest anyway.
void Conn::recheck(const snapshot::Snapshot& snapshot) {
  if (phase_ == Phase::closing || chain_ == nullptr) return;
  for (const Side* side : {&downstream_, &upstream_}) {
    if (side->tls && side->tls->is_established() && !is_trusted_by(snapshot, *side))
      return finish(CloseReason::trust_removed);
  }
  if (upstream_.tls && upstream_.tls->is_established() && !is_expected_by(snapshot))
    return finish(CloseReason::policy_changed);
  const std::size_t position = snapshot.find_listener(listener_->name);
  if (position == snapshot::kNoMatch || snapshot.listeners[position] == listener_) return;
  if (is_inbound() && is_decided()) recheck_chain(*snapshot.listeners[position]);
}

bool Conn::is_decided() const noexcept {
  if (downstream_.tls) return downstream_.tls->is_established();
  switch (phase_) {
    case Phase::peeking:
    case Phase::handshaking:
    case Phase::closing:
      return false;
    case Phase::awaiting_slot:
      return handshake_role_ == HandshakeRole::client;
    case Phase::connecting:
    case Phase::handshaking_up:
    case Phase::relaying:
      return true;
  }
  return true;
}

void Conn::recheck_chain(const snapshot::ListenerPart& listener) {
  const std::size_t at = policy::choose_chain(listener.chains, chain_facts());
  if (at == policy::kNoChain) return finish(CloseReason::policy_changed, "no chain serves it");
  const snapshot::ChainPart& chain = listener.parts[at];
  if (!chain.spec->not_served.empty())
    return finish(CloseReason::policy_changed, chain.spec->not_served);
  if (chain.transport.tls != nullptr && !downstream_.tls)
    return finish(CloseReason::policy_changed);
  policy::Verdict verdict = verdict_of(listener, chain);
  if (verdict.allowed) return;
  rule_ = std::move(verdict.rule);
  finish(CloseReason::policy_changed);
}

}  // namespace mooring::proxy
