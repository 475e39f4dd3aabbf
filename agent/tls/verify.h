// Who the peer is: its chain verified once, then known by its hash.
#pragma once

#include <cstddef>
#include <list>
#include <memory>
#include <string>
#include <unordered_map>

#include "core/clock.h"
#include "identity/material.h"
#include "identity/peer.h"
#include "tls/scratch.h"
#include "tls/session.h"

namespace mooring::tls {

/// What verification established about a peer; shared by its connections of one worker.
struct PeerFacts {
  identity::Names names;  // see PeerInfo
  identity::Fingerprint anchor{};
  WallTime not_after;  // of the peer's path
};
using PeerFactsPtr = std::shared_ptr<const PeerFacts>;

struct Rejection {
  Failure failure = Failure::untrusted;
  int x509_error = X509_V_ERR_UNSPECIFIED;  // decides which alert is sent
  const char* rule = "";
};

/// Per context, so that trust and role are part of what a cached answer holds for.
class PeerVerifier {
 public:
  /// Chains kept, about 7 KiB each with the parsed leaf. Beyond it the one unused for longest goes.
  static constexpr std::size_t kCachedChains = 256;

  PeerVerifier(identity::TrustedPtr trusted, identity::Purpose purpose)
      : trusted_(std::move(trusted)), purpose_(purpose) {}

  /// `presented` is libssl's own list, leaf first, before it becomes part of the session. It is
  /// shortened to the leaf, and a leaf seen before is replaced by the certificate kept here: parsed
  /// certificates are the largest part of an idle connection's memory, and nothing needs them after
  /// verification.
  [[nodiscard]] tl::expected<PeerFactsPtr, Rejection> verify(STACK_OF(X509) * presented,
                                                             WallTime now,
                                                             Scratch::Impl& scratch);

 private:
  struct Known {
    identity::Fingerprint hash;
    identity::X509Ptr leaf;
    PeerFactsPtr facts;
    WallTime not_before;
    WallTime not_after;
  };
  struct HashOfHash {
    std::size_t operator()(const identity::Fingerprint& hash) const noexcept;
  };
  using Order = std::list<Known>;  // used last comes first

  const Known* find(const identity::Fingerprint& hash, WallTime now);
  [[nodiscard]] tl::expected<Known, Rejection> verify_anew(STACK_OF(X509) * presented,
                                                           WallTime now) const;
  const Known& remember(Known known);

  identity::TrustedPtr trusted_;
  identity::Purpose purpose_;
  Order order_;
  std::unordered_map<identity::Fingerprint, Order::iterator, HashOfHash> by_hash_;
};

}  // namespace mooring::tls
