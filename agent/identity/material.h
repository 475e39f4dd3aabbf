// What proves who this host is and whom it trusts: immutable, shared by snapshots, never logged.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/clock.h"
#include "core/result.h"
#include "identity/spiffe_id.h"
#include "identity/x509.h"

namespace mooring::identity {

using Fingerprint = std::array<std::uint8_t, 32>;  // SHA-256 of DER

/// Trust anchors of one trust domain.
struct TrustBundle {
  std::string trust_domain;
  std::vector<X509Ptr> anchors;           // CA certificates
  std::vector<Fingerprint> fingerprints;  // of anchors, in the same order
};

/// SVID, key and bundles together, checked: the leaf is a valid X.509-SVID, the key belongs to it, the chain leads to
/// the bundle of its own trust domain. (A certificate outside its validity period is accepted here and refused where
/// it is used: a host whose certificate expired must start and say so.)
struct Material {
  SpiffeId id;
  std::vector<X509Ptr> chain;  // leaf first
  EvpPkeyPtr key;
  WallTime not_before;
  WallTime not_after;                          // earliest of the chain
  std::map<std::string, TrustBundle> bundles;  // by trust domain
  /// Session ticket keys (name, HMAC and AES key): new with each material, so that no session outlives it.
  std::array<std::uint8_t, 80> ticket_keys;
};
using MaterialPtr = std::shared_ptr<const Material>;

/// PEM texts as read from files or sent by a control plane.
struct MaterialText {
  std::string svid_pem;
  std::string key_pem;
  std::map<std::string, std::string> bundle_pems;  // trust domain -> anchors
};

/// Fails with a sentence that names what is wrong and never contains key bytes.
[[nodiscard]] Checked<MaterialPtr> build_material(const MaterialText& text);

}  // namespace mooring::identity
