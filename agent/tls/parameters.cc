#include "tls/parameters.h"

#include <algorithm>
#include <array>
#include <string>

namespace mooring::tls {

namespace {

struct Cipher {
  std::string_view iana;
  std::string_view openssl;
  bool is_tls13;
};

// All forward secret and AEAD; in our order of preference. AES-128-GCM first: half the cost of the
// others here.
constexpr std::array kCiphers{
    Cipher{"TLS_AES_128_GCM_SHA256", "TLS_AES_128_GCM_SHA256", true},
    Cipher{"TLS_AES_256_GCM_SHA384", "TLS_AES_256_GCM_SHA384", true},
    Cipher{"TLS_CHACHA20_POLY1305_SHA256", "TLS_CHACHA20_POLY1305_SHA256", true},
    Cipher{"TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", "ECDHE-ECDSA-AES128-GCM-SHA256", false},
    Cipher{"TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "ECDHE-RSA-AES128-GCM-SHA256", false},
    Cipher{"TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", "ECDHE-ECDSA-AES256-GCM-SHA384", false},
    Cipher{"TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", "ECDHE-RSA-AES256-GCM-SHA384", false},
    Cipher{"TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", "ECDHE-ECDSA-CHACHA20-POLY1305", false},
    Cipher{"TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", "ECDHE-RSA-CHACHA20-POLY1305", false},
};

// X25519 first. No post-quantum hybrid: its key share makes the ClientHello larger than one
// segment.
constexpr std::array<std::string_view, 4> kGroups{"X25519", "P-256", "P-384", "P-521"};
constexpr const char* kDefaultGroups = "X25519:P-256";

// What certificates of SPIFFE issuers carry. Shorter than the library's list: the hellos stay
// small.
constexpr const char* kSignatureAlgorithms =
    "ECDSA+SHA256:ed25519:RSA-PSS+SHA256:rsa_pss_pss_sha256:RSA+SHA256:"
    "ECDSA+SHA384:RSA-PSS+SHA384:rsa_pss_pss_sha384:RSA+SHA384:"
    "ECDSA+SHA512:RSA-PSS+SHA512:rsa_pss_pss_sha512:RSA+SHA512";

// The level that Debian builds its library with, said here so that every build of the library has
// it: 112 bits.
constexpr int kSecurityLevel = 2;

struct Names {
  std::string tls12;
  std::string tls13;
};

void append(std::string& list, std::string_view name) {
  if (!list.empty()) list += ':';
  list += name;
}

Result<Names> cipher_names(const std::vector<std::string>& wanted) {
  Names names;
  for (const std::string& iana : wanted) {
    const auto* known = std::find_if(
        kCiphers.begin(), kCiphers.end(), [&](const Cipher& c) { return c.iana == iana; });
    if (known == kCiphers.end()) return fail(Errc::unsupported, "cipher");
    append(known->is_tls13 ? names.tls13 : names.tls12, known->openssl);
  }
  if (!wanted.empty()) return names;
  for (const Cipher& cipher : kCiphers)
    append(cipher.is_tls13 ? names.tls13 : names.tls12, cipher.openssl);
  return names;
}

Result<std::string> group_names(const std::vector<std::string>& wanted) {
  if (wanted.empty()) return kDefaultGroups;
  std::string names;
  for (const std::string& group : wanted) {
    if (std::find(kGroups.begin(), kGroups.end(), group) == kGroups.end())
      return fail(Errc::unsupported, "group");
    append(names, group);
  }
  return names;
}

}  // namespace

Result<void> apply_parameters(SSL_CTX& context, const Parameters& parameters) {
  const auto ciphers = cipher_names(parameters.ciphers);
  if (!ciphers) return fail(ciphers.error());
  const auto groups = group_names(parameters.groups);
  if (!groups) return fail(groups.error());
  // A version without a cipher is not offered.
  const bool with_tls12 = parameters.min_version == Version::tls12 && !ciphers->tls12.empty();
  const bool with_tls13 = parameters.max_version == Version::tls13 && !ciphers->tls13.empty();
  if (!with_tls12 && !with_tls13) return fail(Errc::unsupported, "no cipher for the version");
  SSL_CTX_set_security_level(&context, kSecurityLevel);
  const bool is_applied =
      SSL_CTX_set_min_proto_version(&context, with_tls12 ? TLS1_2_VERSION : TLS1_3_VERSION) == 1 &&
      SSL_CTX_set_max_proto_version(&context, with_tls13 ? TLS1_3_VERSION : TLS1_2_VERSION) == 1 &&
      SSL_CTX_set_ciphersuites(&context, ciphers->tls13.c_str()) == 1 &&
      (!with_tls12 || SSL_CTX_set_cipher_list(&context, ciphers->tls12.c_str()) == 1) &&
      SSL_CTX_set1_groups_list(&context, groups->c_str()) == 1 &&
      SSL_CTX_set1_sigalgs_list(&context, kSignatureAlgorithms) == 1;
  if (!is_applied) return fail(Errc::unsupported, "apply_parameters");
  return {};
}

}  // namespace mooring::tls
