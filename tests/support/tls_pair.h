// A client and a server session joined in memory.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "support/fake_clock.h"
#include "support/pki.h"
#include "tls/session.h"

namespace mooring::test {

/// One end: what it is made of, and what has happened to it.
struct TlsEnd {
  std::unique_ptr<tls::Session> session = {};
  std::string plain = {};     // received
  std::string outgoing = {};  // ciphertext on its way to the other end
  bool handshake_done = false;
  bool peer_closed = false;
  tls::Failure failure = tls::Failure::none;

  /// Keeps what a step said; drains `more`.
  void take(tls::Step step);
  void write(std::string_view text) { take(session->write(std::as_bytes(std::span(text)))); }
};

/// Both ends. Bytes travel in pieces of at most `piece` bytes.
struct TlsPair {
  TlsEnd client;
  TlsEnd server;
  std::size_t piece = 256 * 1024;

  /// Carries bytes both ways until there are none. Returns whether both are established.
  bool run();
};

}  // namespace mooring::test
