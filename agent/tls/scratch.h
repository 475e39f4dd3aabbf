// What the sessions of one worker share while one of them runs: input, output, plaintext, and the
// BIO between libssl and these.
#pragma once

#include <cstddef>
#include <memory>

#include "tls/openssl.h"
#include "tls/session.h"

namespace mooring::tls {

class SessionImpl;

struct Scratch::Impl {
  /// A record that began in an earlier feed() may end in this one: one more record than
  /// kPlainBytes, and room for the next, as SSL_read is only called with room for a whole one.
  static constexpr std::size_t kPlainArea = kPlainBytes + 2 * SSL3_RT_MAX_PLAIN_LENGTH;
  /// kPlainBytes in 16 records, their overhead, and the alerts, tickets and key updates of one
  /// step.
  static constexpr std::size_t kOutArea = kPlainBytes + 64 * 1024;

  Impl();

  Bytes input;                // not yet read by libssl
  std::size_t out_bytes = 0;  // written by libssl
  SessionImpl* running = nullptr;
  // Large and not cleared: pages that no step has reached are not resident.
  std::unique_ptr<std::byte[]> plain;
  std::unique_ptr<std::byte[]> out;
  /// Of all sessions of the worker: it has no state of its own but for the retry flags, which
  /// libssl reads at once.
  BioPtr bio;
  DigestPtr sha256;
  DigestContextPtr digest;
};

}  // namespace mooring::tls
