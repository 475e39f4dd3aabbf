// Certificates for tests, made in memory: sound ones by default, and every way to make one wrong.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/clock.h"
#include "identity/material.h"

namespace mooring::test {

enum class KeyType : std::uint8_t { p256, p384, ed25519, rsa2048, rsa1024 };

/// How a certificate differs from a sound X.509-SVID. Extension values are in the syntax of
/// OpenSSL's x509v3_config; an empty one leaves the extension out.
struct CertOptions {
  WallTime not_before = std::chrono::system_clock::now() - std::chrono::hours(1);
  WallTime not_after = std::chrono::system_clock::now() + std::chrono::hours(24);
  KeyType key = KeyType::p256;
  std::string subject = {};  // common name; empty: no subject, as Kuma and SPIRE issue leaves
  std::vector<std::string> extra_names = {};  // "URI:spiffe://...", "DNS:..."
  std::string basic_constraints = "critical,CA:FALSE";
  std::string key_usage = "critical,digitalSignature";
  std::string extended_key_usage = "serverAuth,clientAuth";
  std::string name_constraints = {};
  std::string subject_alternative_name = {};  // replaces all of it
};

/// What a CA certificate differs in.
[[nodiscard]] CertOptions ca_options(std::string subject);

struct Issued {
  std::string cert_pem;  // leaf, then the issuer's intermediates
  std::string key_pem;
};

class TestCa {
 public:
  /// A self-signed root of the trust domain.
  explicit TestCa(const std::string& trust_domain);
  TestCa(std::string trust_domain, const CertOptions& options);
  /// A CA below this one. Its cert_pem() may be a trust anchor of its own.
  [[nodiscard]] TestCa intermediate(const CertOptions& options = ca_options("intermediate")) const;

  /// `spiffe_id` empty: no such name.
  [[nodiscard]] Issued issue(std::string_view spiffe_id, const CertOptions& options = {}) const;
  [[nodiscard]] const std::string& trust_domain() const noexcept { return trust_domain_; }
  /// This CA's certificate alone.
  [[nodiscard]] const std::string& cert_pem() const noexcept { return cert_pem_; }

  /// Issues: this CA is the bundle of its trust domain, `others` are the bundles of theirs.
  [[nodiscard]] identity::MaterialText text(std::string_view spiffe_id,
                                            const CertOptions& options = {},
                                            const std::vector<const TestCa*>& others = {}) const;
  /// The same, built.
  [[nodiscard]] identity::MaterialPtr material(std::string_view spiffe_id,
                                               const CertOptions& options = {},
                                               const std::vector<const TestCa*>& others = {}) const;

 private:
  TestCa(std::string trust_domain,
         std::string cert_pem,
         identity::EvpPkeyPtr key,
         const std::string& above);
  std::string trust_domain_;
  std::string cert_pem_;
  identity::EvpPkeyPtr key_;
  std::string chain_pem_;  // this CA and those above it but the root: what follows a leaf
};

/// One key text of a type, encrypted when `passphrase` is not empty.
[[nodiscard]] std::string make_key_pem(KeyType type, const std::string& passphrase = {});

}  // namespace mooring::test
