#include "tls/verify.h"

#include <openssl/err.h>
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>

#include <cstring>
#include <optional>

#include "identity/path.h"

namespace mooring::tls {

namespace {

// SHA-256 over the DER of the chain, in order; each certificate delimits itself. Uses the plaintext
// area, which is empty during a handshake.
Result<identity::Fingerprint> hash_of(const STACK_OF(X509) * chain, Scratch::Impl& scratch) {
  identity::Fingerprint hash{};
  EVP_MD_CTX* digest = scratch.digest.get();
  bool is_hashed = EVP_DigestInit_ex2(digest, scratch.sha256.get(), nullptr) == 1;
  for (int i = 0; is_hashed && i < sk_X509_num(chain); ++i) {
    const X509* certificate = sk_X509_value(chain, i);
    const int bytes = i2d_X509(certificate, nullptr);
    if (bytes <= 0 || static_cast<std::size_t>(bytes) > Scratch::Impl::kPlainArea) {
      return fail(Errc::bad_certificate, "hash_of");
    }
    auto* der = reinterpret_cast<unsigned char*>(scratch.plain.get());
    i2d_X509(certificate, &der);
    is_hashed = EVP_DigestUpdate(digest, scratch.plain.get(), static_cast<std::size_t>(bytes)) == 1;
  }
  is_hashed = is_hashed && EVP_DigestFinal_ex(digest, hash.data(), nullptr) == 1;
  AGENT_CHECK(is_hashed);
  return hash;
}

tl::unexpected<Rejection> reject(Failure failure, int x509_error, const char* rule) {
  return tl::unexpected<Rejection>(Rejection{failure, x509_error, rule});
}

tl::unexpected<Rejection> reject(const Error& error) {
  switch (error.code) {
    case Errc::expired:
      return reject(Failure::expired, error.detail, X509_verify_cert_error_string(error.detail));
    case Errc::bad_certificate:
      return reject(Failure::bad_identity, X509_V_ERR_CERT_REJECTED, error.place);
    default:
      break;  // Errc is open-ended here: all else is a path that was not found
  }
  return reject(Failure::untrusted,
                X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY,
                X509_verify_cert_error_string(error.detail));
}

void shorten(STACK_OF(X509) * presented, X509& leaf) {
  while (sk_X509_num(presented) > 1)
    X509_free(sk_X509_pop(presented));
  X509* own = sk_X509_value(presented, 0);
  if (own == &leaf) return;
  X509_up_ref(&leaf);
  sk_X509_set(presented, 0, &leaf);
  X509_free(own);
}

}  // namespace

std::size_t PeerVerifier::HashOfHash::operator()(const identity::Fingerprint& hash) const noexcept {
  std::size_t value = 0;
  std::memcpy(&value, hash.data(), sizeof value);
  return value;
}

tl::expected<PeerFactsPtr, Rejection> PeerVerifier::verify(STACK_OF(X509) * presented,
                                                           WallTime now,
                                                           Scratch::Impl& scratch) {
  const int count = sk_X509_num(presented);
  if (count <= 0)
    return reject(Failure::no_peer_certificate, X509_V_ERR_CERT_REJECTED, "no certificate");
  if (count > identity::kMaxPathCertificates) {
    return reject(Failure::untrusted, X509_V_ERR_CERT_CHAIN_TOO_LONG, "too many certificates");
  }
  const auto hash = hash_of(presented, scratch);
  if (!hash) return reject(hash.error());
  const Known* known = find(*hash, now);
  if (known == nullptr) {
    auto verified = verify_anew(presented, now);
    if (!verified) return tl::unexpected<Rejection>(verified.error());
    verified->hash = *hash;
    known = &remember(std::move(*verified));
  }
  shorten(presented, *known->leaf);
  return known->facts;
}

const PeerVerifier::Known* PeerVerifier::find(const identity::Fingerprint& hash, WallTime now) {
  const auto found = by_hash_.find(hash);
  if (found == by_hash_.end()) return nullptr;
  const auto known = found->second;
  if (now < known->not_before || now >= known->not_after) {
    by_hash_.erase(found);
    order_.erase(known);
    return nullptr;
  }
  order_.splice(order_.begin(), order_, known);
  return &*known;
}

tl::expected<PeerVerifier::Known, Rejection> PeerVerifier::verify_anew(STACK_OF(X509) * presented,
                                                                       WallTime now) const {
  X509* leaf = sk_X509_value(presented, 0);
  const std::optional<identity::TrustBundle>& any = trusted_->any;
  const identity::TrustBundle* bundle = any ? &*any : nullptr;
  Result<identity::Names> names;
  if (bundle != nullptr) {
    names = identity::leaf_names(*leaf, purpose_);
    if (!names) return reject(names.error());
  } else {
    const auto id = identity::leaf_identity(*leaf, purpose_);
    if (!id) return reject(id.error());
    // The trust domain picks the bundle: no domain's CA can speak for another's names.
    const auto found = trusted_->bundles.find(id->trust_domain());
    if (found == trusted_->bundles.end()) {
      return reject(Failure::untrusted,
                    X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY,
                    "no bundle for its trust domain");
    }
    bundle = &found->second;
    names->add(identity::NameType::uri, id->text());
  }
  const auto path = identity::verify_path(*bundle, *leaf, presented, purpose_, now);
  if (!path) return reject(path.error());
  X509_up_ref(leaf);
  return Known{{},
               identity::X509Ptr(leaf),
               std::make_shared<const PeerFacts>(
                   PeerFacts{std::move(*names), path->anchor, path->not_after}),
               path->not_before,
               path->not_after};
}

const PeerVerifier::Known& PeerVerifier::remember(Known known) {
  if (order_.size() == kCachedChains) {
    by_hash_.erase(order_.back().hash);
    order_.pop_back();
  }
  order_.push_front(std::move(known));
  by_hash_.emplace(order_.front().hash, order_.begin());
  return order_.front();
}

}  // namespace mooring::tls
