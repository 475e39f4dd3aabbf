#include "identity/material.h"

#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>

#include <algorithm>
#include <limits>
#include <optional>

#include <fmt/format.h>

#include "core/free_by.h"
#include "core/spiffe_text.h"
#include "identity/path.h"
#include "identity/peer.h"
#include "identity/spiffe_id.h"

namespace mooring::identity {

namespace {

struct StackFree {
  void operator()(STACK_OF(X509) * stack) const noexcept { sk_X509_free(stack); }
};

tl::unexpected<Diagnostic> refuse(std::string part, std::string message, std::string hint = {}) {
  return fail(Diagnostic{std::move(part), std::move(message), std::move(hint)});
}

Checked<std::vector<X509Ptr>> read_certificates(const std::string& part,
                                                const std::string& pem,
                                                std::size_t limit) {
  auto certificates = parse_certificates(pem, limit);
  if (certificates) return std::move(*certificates);
  switch (certificates.error().code) {
    case Errc::not_found:
      return refuse(part, "there is no certificate in it", "a PEM text with BEGIN CERTIFICATE");
    case Errc::too_large:
      return refuse(part, fmt::format("there are more than {} certificates in it", limit));
    default:
      break;
  }
  return refuse(part, "a certificate in it is broken", "was the file copied whole?");
}

Checked<EvpPkeyPtr> read_key(const std::string& pem) {
  if (pem.size() > static_cast<std::size_t>(std::numeric_limits<int>::max()))
    return refuse("key", "it is too large");
  const std::unique_ptr<BIO, FreeBy<BIO_free>> bio(
      BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  AGENT_CHECK(bio != nullptr);
  ERR_clear_error();
  // Without a callback of ours the library would ask for a passphrase at the terminal.
  bool is_encrypted = false;
  EvpPkeyPtr key(PEM_read_bio_PrivateKey(
      bio.get(),
      nullptr,
      [](char*, int, int, void* asked) noexcept {
        *static_cast<bool*>(asked) = true;
        return -1;
      },
      &is_encrypted));
  ERR_clear_error();
  if (key) return key;
  if (is_encrypted)
    return refuse("key", "it is encrypted, and an agent has nobody to ask for the passphrase");
  return refuse(
      "key", "there is no private key in it that can be read", "a PEM text with BEGIN PRIVATE KEY");
}

Checked<void> check_key(const EVP_PKEY& key) {
  const int type = EVP_PKEY_get_base_id(&key);
  const int bits = EVP_PKEY_get_bits(&key);
  if (type == EVP_PKEY_EC || type == EVP_PKEY_ED25519) return {};
  if (type != EVP_PKEY_RSA && type != EVP_PKEY_RSA_PSS)
    return refuse("key", "it is neither EC, Ed25519 nor RSA");
  if (bits < 2048)
    return refuse("key", fmt::format("RSA with {} bits is too short; 2048 is the least", bits));
  return {};
}

Checked<TrustBundle> read_bundle(const std::string& part, const std::string& pem, bool of_domain) {
  auto certificates = read_certificates(part, pem, kMaxAnchors);
  if (!certificates) return fail(certificates.error());
  TrustBundle bundle;
  std::size_t number = 0;
  for (X509Ptr& certificate : *certificates) {
    ++number;
    const auto signer = check_signer(*certificate, true);
    if (of_domain && !signer) {
      return refuse(
          part,
          fmt::format("certificate {} cannot be a trust anchor: {}", number, signer.error().place));
    }
    const Fingerprint digest = fingerprint(*certificate);
    if (bundle.contains(digest)) continue;
    bundle.fingerprints.push_back(digest);
    bundle.anchors.push_back(std::move(certificate));
  }
  return bundle;
}

Checked<TrustBundle> build_bundle(const std::string& trust_domain, const std::string& pem) {
  const std::string part = "bundle " + trust_domain;
  if (!is_trust_domain(trust_domain)) {
    return refuse(part,
                  fmt::format("\"{}\" is no trust domain", trust_domain),
                  "lower-case letters, digits, '.', '-', '_'");
  }
  auto bundle = read_bundle(part, pem, true);
  if (bundle) bundle->trust_domain = trust_domain;
  return bundle;
}

// What we present must be what a peer with our bundle accepts, the dates aside.
Checked<void> check_own_path(const Presented& presented, const Trusted& trusted) {
  const std::string_view domain = spiffe_trust_domain(presented.spiffe_id);
  const auto own = trusted.bundles.find(domain);
  if (own == trusted.bundles.end())
    return refuse("svid", fmt::format("its trust domain \"{}\" has no bundle", domain));
  const std::unique_ptr<STACK_OF(X509), StackFree> untrusted(sk_X509_new_null());
  AGENT_CHECK(untrusted != nullptr);
  for (std::size_t i = 1; i < presented.chain.size(); ++i)
    sk_X509_push(untrusted.get(), presented.chain[i].get());
  const auto path = verify_path(
      own->second, *presented.chain.front(), untrusted.get(), Purpose::both, std::nullopt);
  if (path) return {};
  return refuse(
      "svid",
      fmt::format("it does not lead to the bundle of \"{}\": {}",
                  domain,
                  X509_verify_cert_error_string(path.error().detail)),
      "the SVID file needs the intermediates, leaf first; the bundle needs the CA that issued it");
}

/// What a person calls the certificate that they gave us.
struct Words {
  const char* part;
  const char* name;
};
constexpr Words kFiles{"svid", "SVID"};
constexpr Words kSecret{"certificate", "certificate"};

Checked<void> set_chain(Presented& presented, std::vector<X509Ptr> chain, const char* part) {
  presented.not_before = WallTime::min();
  presented.not_after = WallTime::max();
  for (const X509Ptr& certificate : chain) {
    const auto span = validity(*certificate);
    if (!span) return refuse(part, "a certificate in it has no readable validity period");
    presented.not_before = std::max(presented.not_before, span->not_before);
    presented.not_after = std::min(presented.not_after, span->not_after);
  }
  auto names = subject_alternative_names(*chain.front());
  if (!names) return refuse(part, fmt::format("its names cannot be read: {}", names.error().place));
  presented.names = std::move(*names);
  presented.spiffe_id = presented.names.spiffe_id();
  presented.chain = std::move(chain);
  return {};
}

Checked<void> set_key(Presented& presented, EvpPkeyPtr key, const char* name) {
  if (auto usable = check_key(*key); !usable) return usable;
  ERR_clear_error();
  const bool is_pair = X509_check_private_key(presented.chain.front().get(), key.get()) == 1;
  ERR_clear_error();
  if (!is_pair) {
    return refuse("key",
                  fmt::format("it does not belong to the {}", name),
                  "both are replaced together; is a rotation half done?");
  }
  presented.key = std::move(key);
  return {};
}

Checked<PresentedPtr> read_presented(const std::string& chain_pem,
                                     const std::string& key_pem,
                                     const Words& words) {
  prepare_library();
  auto chain = read_certificates(words.part, chain_pem, kMaxChainCertificates);
  if (!chain) return fail(chain.error());
  auto key = read_key(key_pem);
  if (!key) return fail(key.error());
  auto presented = std::make_shared<Presented>();
  if (auto done = set_chain(*presented, std::move(*chain), words.part); !done)
    return fail(done.error());
  if (auto done = set_key(*presented, std::move(*key), words.name); !done)
    return fail(done.error());
  return presented;
}

}  // namespace

Material::~Material() {
  OPENSSL_cleanse(ticket_keys.data(), ticket_keys.size());
}

const std::string& Material::id() const noexcept {
  static const std::string none;
  return presented ? presented->spiffe_id : none;
}

bool TrustBundle::contains(const Fingerprint& anchor) const noexcept {
  return std::find(fingerprints.begin(), fingerprints.end(), anchor) != fingerprints.end();
}

bool Trusted::contains(std::string_view spiffe_id, const Fingerprint& anchor) const noexcept {
  if (any) return any->contains(anchor);
  const auto bundle = bundles.find(spiffe_trust_domain(spiffe_id));
  return bundle != bundles.end() && bundle->second.contains(anchor);
}

MaterialPtr pair_material(PresentedPtr presented, TrustedPtr trusted) {
  auto material = std::make_shared<Material>();
  material->presented = std::move(presented);
  material->trusted = std::move(trusted);
  AGENT_CHECK(RAND_bytes(material->ticket_keys.data(),
                         static_cast<int>(material->ticket_keys.size())) == 1);
  return material;
}

Checked<PresentedPtr> build_presented(const std::string& chain_pem, const std::string& key_pem) {
  return read_presented(chain_pem, key_pem, kSecret);
}

Checked<TrustedPtr> build_trusted(const std::map<std::string, std::string>& bundle_pems) {
  prepare_library();
  auto trusted = std::make_shared<Trusted>();
  for (const auto& [trust_domain, pem] : bundle_pems) {
    auto bundle = build_bundle(trust_domain, pem);
    if (!bundle) return fail(bundle.error());
    trusted->bundles.emplace(trust_domain, std::move(*bundle));
  }
  return trusted;
}

Checked<TrustedPtr> build_trusted_any(const std::string& ca_pem) {
  prepare_library();
  auto bundle = read_bundle("CA", ca_pem, false);
  if (!bundle) return fail(bundle.error());
  auto trusted = std::make_shared<Trusted>();
  trusted->any = std::move(*bundle);
  return trusted;
}

Checked<MaterialPtr> build_material(const MaterialText& text) {
  auto presented = read_presented(text.svid_pem, text.key_pem, kFiles);
  if (!presented) return fail(presented.error());
  if (const auto id = leaf_identity(*(*presented)->chain.front(), Purpose::both); !id) {
    return refuse("svid",
                  fmt::format("its first certificate is no X.509-SVID: {}", id.error().place));
  }
  auto trusted = build_trusted(text.bundle_pems);
  if (!trusted) return fail(trusted.error());
  if (auto done = check_own_path(**presented, **trusted); !done) return fail(done.error());
  return pair_material(std::move(*presented), std::move(*trusted));
}

}  // namespace mooring::identity
