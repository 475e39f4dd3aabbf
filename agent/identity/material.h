// What proves who this host is and whom it trusts: immutable, shared by snapshots, never logged.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/clock.h"
#include "core/result.h"
#include "identity/names.h"
#include "identity/x509.h"

namespace mooring::identity {

/// Certificates in one SVID file and anchors in one bundle, at most.
inline constexpr std::size_t kMaxChainCertificates = 8;
inline constexpr std::size_t kMaxAnchors = 256;

/// Trust anchors of one trust domain, or, with an empty one, for whatever name a peer has.
struct TrustBundle {
  std::string trust_domain;
  std::vector<X509Ptr> anchors;           // each once; a domain's are CA certificates
  std::vector<Fingerprint> fingerprints;  // of anchors, in the same order

  [[nodiscard]] bool contains(const Fingerprint& anchor) const noexcept;
};

/// What this host shows of itself: a chain and the key of its leaf. (A certificate outside its
/// validity period is accepted here and refused where it is used: a host whose certificate expired
/// must start and say so.)
struct Presented {
  /// The leaf's SPIFFE ID; empty where it has none, as a server certificate of another kind, or
  /// several.
  std::string spiffe_id;
  Names names;                 // of the leaf
  std::vector<X509Ptr> chain;  // leaf first
  EvpPkeyPtr key;
  WallTime not_before;  // latest of the chain
  WallTime not_after;   // earliest of the chain
};
using PresentedPtr = std::shared_ptr<const Presented>;

/// Whom this host believes. Either the peer's trust domain picks the bundle (X.509-SVID §5.1), or
/// `any` stands for every name, as a plain CA does; then there are no bundles.
struct Trusted {
  std::map<std::string, TrustBundle, std::less<>> bundles;  // by trust domain
  std::optional<TrustBundle> any;

  /// May this anchor speak for a peer of that SPIFFE ID (which is empty if it has none)?
  [[nodiscard]] bool contains(std::string_view spiffe_id, const Fingerprint& anchor) const noexcept;
};
using TrustedPtr = std::shared_ptr<const Trusted>;

/// Session ticket keys as OpenSSL takes them: name 16, HMAC key 32, AES key 32.
using TicketKeys = std::array<std::uint8_t, 80>;

/// What the two ends of a TLS context are made of.
struct Material {
  Material() = default;
  ~Material();
  Material(const Material&) = delete;
  Material& operator=(const Material&) = delete;

  PresentedPtr presented;  // null: no certificate is shown
  TrustedPtr trusted;      // null: the peer is not verified
  /// New with each pairing, so that no session outlives it; the same for all workers.
  TicketKeys ticket_keys{};

  /// What is presented; empty where nothing is, or it has no SPIFFE ID.
  [[nodiscard]] const std::string& id() const noexcept;
};
using MaterialPtr = std::shared_ptr<const Material>;

/// Either may be null.
[[nodiscard]] MaterialPtr pair_material(PresentedPtr presented, TrustedPtr trusted);

/// PEM texts as a control plane sends them; the chain begins with the leaf. Fail with a sentence
/// that names what is wrong and never contains key bytes. The diagnostic's path is "certificate",
/// "key", "bundle TRUST_DOMAIN" or "CA".
[[nodiscard]] Checked<PresentedPtr> build_presented(const std::string& chain_pem,
                                                    const std::string& key_pem);
/// Trust domain -> anchors.
[[nodiscard]] Checked<TrustedPtr> build_trusted(
    const std::map<std::string, std::string>& bundle_pems);
/// Anchors for any name.
[[nodiscard]] Checked<TrustedPtr> build_trusted_any(const std::string& ca_pem);

/// PEM texts as read from files.
struct MaterialText {
  std::string svid_pem;
  std::string key_pem;
  std::map<std::string, std::string> bundle_pems;  // trust domain -> anchors
};

/// All of it together, checked more: the leaf is a valid X.509-SVID, and the chain leads to the
/// bundle of its own trust domain. The diagnostic's path is "svid", "key" or "bundle TRUST_DOMAIN".
[[nodiscard]] Checked<MaterialPtr> build_material(const MaterialText& text);

}  // namespace mooring::identity
