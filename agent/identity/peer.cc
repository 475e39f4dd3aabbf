#include "identity/peer.h"

#include <openssl/err.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <memory>
#include <string_view>

namespace mooring::identity {

namespace {

struct GeneralNamesFree {
  void operator()(GENERAL_NAMES* names) const noexcept { GENERAL_NAMES_free(names); }
};

tl::unexpected<Error> broken(const char* rule) noexcept {
  return fail(Errc::bad_certificate, rule);
}

Result<SpiffeId> only_uri(const X509& leaf) {
  int critical = 0;
  const std::unique_ptr<GENERAL_NAMES, GeneralNamesFree> names(static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(&leaf, NID_subject_alt_name, &critical, nullptr)));
  // -1: absent; -2: more than one such extension, against RFC 5280 §4.2.
  if (!names) return broken(critical == -1 ? "no URI SAN" : "broken subject alternative name");
  std::string_view uri;
  int uris = 0;
  for (int i = 0; i < sk_GENERAL_NAME_num(names.get()); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names.get(), i);
    if (name->type != GEN_URI) continue;
    const ASN1_IA5STRING* text = name->d.uniformResourceIdentifier;
    uri = {reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)),
           static_cast<std::size_t>(ASN1_STRING_length(text))};
    ++uris;
  }
  if (uris == 0) return broken("no URI SAN");
  if (uris > 1) return broken("more than one URI SAN");  // X.509-SVID §2, §5.2
  auto id = SpiffeId::parse(uri);
  if (!id) return broken("the URI SAN is no SPIFFE ID");
  if (id->path().empty())
    return broken("the SPIFFE ID of a leaf has no path");  // X.509-SVID §3.1, §5.2
  return std::move(*id);
}

// X.509-SVID §4.4
Result<void> check_extended_key_usage(X509& leaf, Purpose purpose) noexcept {
  if ((X509_get_extension_flags(&leaf) & EXFLAG_XKUSAGE) == 0) return {};
  const std::uint32_t usage = X509_get_extended_key_usage(&leaf);
  if (purpose != Purpose::server && (usage & XKU_SSL_CLIENT) == 0)
    return broken("extended key usage without clientAuth");
  if (purpose != Purpose::client && (usage & XKU_SSL_SERVER) == 0)
    return broken("extended key usage without serverAuth");
  return {};
}

Result<void> check_extensions(X509& leaf) noexcept {
  ERR_clear_error();
  // The first call parses and caches the extensions; a malformed one sets EXFLAG_INVALID.
  const std::uint32_t flags = X509_get_extension_flags(&leaf);
  if ((flags & EXFLAG_INVALID) != 0) return broken("malformed extension");
  if ((flags & EXFLAG_CRITICAL) != 0) return broken("unknown critical extension");
  return {};
}

}  // namespace

Result<SpiffeId> leaf_identity(x509_st& leaf, Purpose purpose) {
  if (const auto sound = check_extensions(leaf); !sound) return fail(sound.error());
  const std::uint32_t flags = X509_get_extension_flags(&leaf);
  if ((flags & EXFLAG_CA) != 0) return broken("a CA certificate where a leaf is needed");  // §5.2
  if ((flags & EXFLAG_KUSAGE) == 0) return broken("no key usage");                         // §4.3
  const std::uint32_t usage = X509_get_key_usage(&leaf);
  if ((usage & (KU_KEY_CERT_SIGN | KU_CRL_SIGN)) != 0)
    return broken("a leaf with keyCertSign or cRLSign");  // §5.2
  if ((usage & KU_DIGITAL_SIGNATURE) == 0)
    return broken("key usage without digitalSignature");  // §4.3
  if (const auto fits = check_extended_key_usage(leaf, purpose); !fits) return fail(fits.error());
  return only_uri(leaf);
}

Result<Names> leaf_names(x509_st& leaf, Purpose purpose) {
  if (const auto sound = check_extensions(leaf); !sound) return fail(sound.error());
  if (const auto fits = check_extended_key_usage(leaf, purpose); !fits) return fail(fits.error());
  return subject_alternative_names(leaf);
}

Result<void> check_signer(x509_st& signer, bool may_lack_key_usage) {
  ERR_clear_error();
  const std::uint32_t flags = X509_get_extension_flags(&signer);
  if ((flags & EXFLAG_INVALID) != 0) return broken("malformed extension in a CA certificate");
  if ((flags & EXFLAG_CA) == 0) return broken("not a CA certificate");  // §4.1
  if ((flags & EXFLAG_KUSAGE) == 0) {
    if (may_lack_key_usage) return {};
    return broken("a CA certificate without key usage");  // §4.3
  }
  if ((X509_get_key_usage(&signer) & KU_KEY_CERT_SIGN) == 0)
    return broken("a CA certificate without keyCertSign");
  return {};
}

}  // namespace mooring::identity
