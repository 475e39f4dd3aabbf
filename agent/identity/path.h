// From a leaf to a trust anchor of its trust domain (RFC 5280 §6, X.509-SVID §5.1).
#pragma once

#include <optional>

#include "core/clock.h"
#include "core/result.h"
#include "identity/material.h"
#include "identity/peer.h"
#include "identity/x509.h"

namespace mooring::identity {

/// Longest path from the leaf to the anchor, both counted. Deeper hierarchies than root, site and
/// issuer are not met.
inline constexpr int kMaxPathCertificates = 8;

struct VerifiedPath {
  Fingerprint anchor{};
  WallTime not_before;  // latest of the path
  WallTime not_after;   // earliest of the path
};

/// Builds and verifies a path. Between leaf and anchor of a trust domain's bundle, CA certificates
/// need the key usage that X.509-SVID §4.3 asks for. `untrusted` may be null and may hold the leaf
/// itself; it is what the holder presented. `at` empty: validity periods are not looked at. Errors:
/// untrusted, expired (also: not yet valid), bad_certificate; detail is X509_V_ERR_*.
[[nodiscard]] Result<VerifiedPath> verify_path(const TrustBundle& bundle,
                                               x509_st& leaf,
                                               stack_st_X509* untrusted,
                                               Purpose purpose,
                                               std::optional<WallTime> at);

}  // namespace mooring::identity
