#include "support/tls_pair.h"

#include <algorithm>
#include <utility>

namespace mooring::test {

void TlsEnd::take(tls::Step step) {
  for (;;) {
    outgoing.append(reinterpret_cast<const char*>(step.to_peer.data()), step.to_peer.size());
    plain.append(reinterpret_cast<const char*>(step.plain.data()), step.plain.size());
    handshake_done = handshake_done || step.handshake_done;
    peer_closed = peer_closed || step.peer_closed;
    failure = step.failure;
    if (!step.more) return;
    step = session->feed({});
  }
}

namespace {

bool carry(TlsEnd& from, TlsEnd& to, std::size_t piece) {
  if (from.outgoing.empty()) return false;
  const std::string bytes = std::exchange(from.outgoing, {});
  for (std::size_t at = 0; at < bytes.size(); at += piece) {
    to.take(to.session->feed(
        std::as_bytes(std::span(bytes).subspan(at, std::min(piece, bytes.size() - at)))));
  }
  return true;
}

}  // namespace

bool TlsPair::run() {
  while (carry(client, server, piece) || carry(server, client, piece)) {
  }
  return client.session->is_established() && server.session->is_established();
}

}  // namespace mooring::test
