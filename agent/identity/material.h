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

/// Certificates in one SVID file and anchors in one bundle, at most.
inline constexpr std::size_t kMaxChainCertificates = 8;
inline constexpr std::size_t kMaxAnchors = 256;

/// Trust anchors of one trust domain.
struct TrustBundle {
  std::string trust_domain;
  std::vector<X509Ptr> anchors;           // CA certificates, each once
  std::vector<Fingerprint> fingerprints;  // of anchors, in the same order

  [[nodiscard]] bool contains(const Fingerprint& anchor) const noexcept;
};

/// Session ticket keys as OpenSSL takes them: name 16, HMAC key 32, AES key 32.
using TicketKeys = std::array<std::uint8_t, 80>;

/// SVID, key and bundles together, checked: the leaf is a valid X.509-SVID, the key belongs to it,
/// the chain leads to the bundle of its own trust domain. (A certificate outside its validity
/// period is accepted here and refused where it is used: a host whose certificate expired must
/// start and say so.)
struct Material {
  explicit Material(SpiffeId spiffe_id) : id(std::move(spiffe_id)) {}
  ~Material();
  Material(const Material&) = delete;
  Material& operator=(const Material&) = delete;

  SpiffeId id;
  std::vector<X509Ptr> chain;  // leaf first
  EvpPkeyPtr key;
  WallTime not_before;                                      // latest of the chain
  WallTime not_after;                                       // earliest of the chain
  std::map<std::string, TrustBundle, std::less<>> bundles;  // by trust domain
  /// New with each material, so that no session outlives it; the same for all workers.
  TicketKeys ticket_keys{};
};
using MaterialPtr = std::shared_ptr<const Material>;

/// PEM texts as read from files or sent by a control plane.
struct MaterialText {
  std::string svid_pem;
  std::string key_pem;
  std::map<std::string, std::string> bundle_pems;  // trust domain -> anchors
};

/// Fails with a sentence that names what is wrong and never contains key bytes. The diagnostic's
/// path is "svid", "key" or "bundle TRUST_DOMAIN".
[[nodiscard]] Checked<MaterialPtr> build_material(const MaterialText& text);

}  // namespace mooring::identity
