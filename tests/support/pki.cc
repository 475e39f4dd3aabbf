#include "support/pki.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <memory>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace mooring::test {

namespace {

struct BioFree {
  void operator()(BIO* bio) const noexcept { BIO_free(bio); }
};
using BioPtr = std::unique_ptr<BIO, BioFree>;

std::string text_of(BIO& bio) {
  char* data = nullptr;
  const long bytes = BIO_get_mem_data(&bio, &data);
  return {data, static_cast<std::size_t>(bytes)};
}

identity::EvpPkeyPtr make_key(KeyType type) {
  switch (type) {
    case KeyType::p256:
      return identity::EvpPkeyPtr(EVP_EC_gen("P-256"));
    case KeyType::p384:
      return identity::EvpPkeyPtr(EVP_EC_gen("P-384"));
    case KeyType::ed25519:
      return identity::EvpPkeyPtr(EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519"));
    case KeyType::rsa2048:
      return identity::EvpPkeyPtr(EVP_RSA_gen(2048));
    case KeyType::rsa1024:
      return identity::EvpPkeyPtr(EVP_RSA_gen(1024));
  }
  return nullptr;
}

std::string to_pem(EVP_PKEY& key, const std::string& passphrase) {
  const BioPtr bio(BIO_new(BIO_s_mem()));
  const auto* secret = reinterpret_cast<const unsigned char*>(passphrase.data());
  const EVP_CIPHER* cipher = passphrase.empty() ? nullptr : EVP_aes_128_cbc();
  AGENT_CHECK(
      PEM_write_bio_PrivateKey(
          bio.get(), &key, cipher, secret, static_cast<int>(passphrase.size()), nullptr, nullptr) ==
      1);
  return text_of(*bio);
}

std::string to_pem(X509& certificate) {
  const BioPtr bio(BIO_new(BIO_s_mem()));
  AGENT_CHECK(PEM_write_bio_X509(bio.get(), &certificate) == 1);
  return text_of(*bio);
}

identity::X509Ptr from_pem(const std::string& pem) {
  auto parsed = identity::parse_certificates(pem, 1);
  AGENT_CHECK(parsed.has_value());
  return std::move(parsed->front());
}

void add_extension(X509& certificate, X509& issuer, int nid, const std::string& value) {
  if (value.empty()) return;
  X509V3_CTX context{};
  X509V3_set_ctx(&context, &issuer, &certificate, nullptr, nullptr, 0);
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str());
  if (extension == nullptr) ERR_print_errors_fp(stderr);
  AGENT_CHECK(extension != nullptr);
  X509_add_ext(&certificate, extension, -1);
  X509_EXTENSION_free(extension);
}

void set_time(ASN1_TIME* field, WallTime time) {
  const std::time_t seconds = std::chrono::system_clock::to_time_t(time);
  AGENT_CHECK(ASN1_TIME_adj(field, seconds, 0, 0) != nullptr);
}

void set_serial(X509& certificate) {
  std::uint64_t serial = 0;
  RAND_bytes(reinterpret_cast<unsigned char*>(&serial), sizeof serial);
  ASN1_INTEGER_set_uint64(X509_get_serialNumber(&certificate), serial >> 1);
}

std::string names_of(std::string_view spiffe_id, const CertOptions& options) {
  if (!options.subject_alternative_name.empty()) return options.subject_alternative_name;
  std::vector<std::string> names;
  if (!spiffe_id.empty()) names.push_back(fmt::format("URI:{}", spiffe_id));
  names.insert(names.end(), options.extra_names.begin(), options.extra_names.end());
  if (names.empty()) return {};
  return fmt::format("{}{}", options.subject.empty() ? "critical," : "", fmt::join(names, ","));
}

// `issuer` null: self-signed.
identity::X509Ptr make_certificate(std::string_view spiffe_id,
                                   const CertOptions& options,
                                   EVP_PKEY& key,
                                   X509* issuer,
                                   EVP_PKEY& issuer_key) {
  identity::X509Ptr certificate(X509_new());
  X509_set_version(certificate.get(), X509_VERSION_3);
  set_serial(*certificate);
  set_time(X509_getm_notBefore(certificate.get()), options.not_before);
  set_time(X509_getm_notAfter(certificate.get()), options.not_after);
  if (!options.subject.empty()) {
    X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate.get()),
                               "CN",
                               MBSTRING_UTF8,
                               reinterpret_cast<const unsigned char*>(options.subject.c_str()),
                               -1,
                               -1,
                               0);
  }
  X509_set_pubkey(certificate.get(), &key);
  X509& above = issuer == nullptr ? *certificate : *issuer;
  X509_set_issuer_name(certificate.get(), X509_get_subject_name(&above));
  add_extension(*certificate, above, NID_basic_constraints, options.basic_constraints);
  add_extension(*certificate, above, NID_key_usage, options.key_usage);
  add_extension(*certificate, above, NID_ext_key_usage, options.extended_key_usage);
  add_extension(*certificate, above, NID_name_constraints, options.name_constraints);
  add_extension(*certificate, above, NID_subject_key_identifier, "hash");
  add_extension(*certificate, above, NID_authority_key_identifier, "keyid");
  add_extension(*certificate, above, NID_subject_alt_name, names_of(spiffe_id, options));
  const bool hashes_itself = EVP_PKEY_get_base_id(&issuer_key) == EVP_PKEY_ED25519;
  AGENT_CHECK(X509_sign(certificate.get(), &issuer_key, hashes_itself ? nullptr : EVP_sha256()) >
              0);
  return certificate;
}

}  // namespace

CertOptions ca_options(std::string subject) {
  CertOptions options;
  options.not_after = std::chrono::system_clock::now() + std::chrono::hours(24 * 365);
  options.subject = std::move(subject);
  options.basic_constraints = "critical,CA:TRUE";
  options.key_usage = "critical,keyCertSign,cRLSign";
  options.extended_key_usage.clear();
  return options;
}

TestCa::TestCa(const std::string& trust_domain)
    : TestCa(trust_domain, ca_options("root of " + trust_domain)) {}

TestCa::TestCa(std::string trust_domain, const CertOptions& options)
    : trust_domain_(std::move(trust_domain)) {
  identity::prepare_library();
  key_ = make_key(options.key);
  cert_pem_ = to_pem(*make_certificate({}, options, *key_, nullptr, *key_));
}

TestCa::TestCa(std::string trust_domain,
               std::string cert_pem,
               identity::EvpPkeyPtr key,
               const std::string& above)
    : trust_domain_(std::move(trust_domain)),
      cert_pem_(std::move(cert_pem)),
      key_(std::move(key)),
      chain_pem_(cert_pem_ + above) {}

TestCa TestCa::intermediate(const CertOptions& options) const {
  identity::EvpPkeyPtr key = make_key(options.key);
  const identity::X509Ptr issuer = from_pem(cert_pem_);
  std::string pem = to_pem(*make_certificate({}, options, *key, issuer.get(), *key_));
  return {trust_domain_, std::move(pem), std::move(key), chain_pem_};
}

Issued TestCa::issue(std::string_view spiffe_id, const CertOptions& options) const {
  const identity::EvpPkeyPtr key = make_key(options.key);
  const identity::X509Ptr issuer = from_pem(cert_pem_);
  return {to_pem(*make_certificate(spiffe_id, options, *key, issuer.get(), *key_)) + chain_pem_,
          to_pem(*key, {})};
}

identity::MaterialText TestCa::text(std::string_view spiffe_id,
                                    const CertOptions& options,
                                    const std::vector<const TestCa*>& others) const {
  const Issued issued = issue(spiffe_id, options);
  identity::MaterialText text{issued.cert_pem, issued.key_pem, {{trust_domain_, cert_pem_}}};
  for (const TestCa* other : others)
    text.bundle_pems[other->trust_domain()] += other->cert_pem();
  return text;
}

identity::MaterialPtr TestCa::material(std::string_view spiffe_id,
                                       const CertOptions& options,
                                       const std::vector<const TestCa*>& others) const {
  auto built = identity::build_material(text(spiffe_id, options, others));
  if (!built) std::fprintf(stderr, "test material: %s\n", describe(built.error()).c_str());
  AGENT_CHECK(built.has_value());
  return *built;
}

std::string make_key_pem(KeyType type, const std::string& passphrase) {
  return to_pem(*make_key(type), passphrase);
}

}  // namespace mooring::test
