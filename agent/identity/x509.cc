#include "identity/x509.h"

#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <ctime>
#include <limits>

#include "core/free_by.h"

namespace mooring::identity {

namespace {

WallTime from_seconds(std::time_t seconds) noexcept {
  constexpr auto kLast =
      std::chrono::duration_cast<std::chrono::seconds>(WallTime::max().time_since_epoch()).count();
  constexpr auto kFirst =
      std::chrono::duration_cast<std::chrono::seconds>(WallTime::min().time_since_epoch()).count();
  if (seconds >= kLast) return WallTime::max();
  if (seconds <= kFirst) return WallTime::min();
  return WallTime(std::chrono::seconds(seconds));
}

Result<WallTime> to_wall_time(const ASN1_TIME* time) noexcept {
  std::tm parts{};
  if (time == nullptr || ASN1_TIME_to_tm(time, &parts) != 1) {
    return fail(Errc::bad_certificate, "validity is no time");
  }
  return from_seconds(::timegm(&parts));
}

}  // namespace

void X509Free::operator()(x509_st* certificate) const noexcept {
  X509_free(certificate);
}
void EvpPkeyFree::operator()(evp_pkey_st* key) const noexcept {
  EVP_PKEY_free(key);
}

void prepare_library() noexcept {
  static const bool ready = OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, nullptr) == 1;
  AGENT_CHECK(ready);
}

Fingerprint fingerprint(const x509_st& certificate) noexcept {
  Fingerprint digest{};
  unsigned length = 0;
  AGENT_CHECK(X509_digest(&certificate, EVP_sha256(), digest.data(), &length) == 1 &&
              length == digest.size());
  return digest;
}

Result<Validity> validity(const x509_st& certificate) noexcept {
  const auto not_before = to_wall_time(X509_get0_notBefore(&certificate));
  if (!not_before) return fail(not_before.error());
  const auto not_after = to_wall_time(X509_get0_notAfter(&certificate));
  if (!not_after) return fail(not_after.error());
  return Validity{*not_before, *not_after};
}

std::string issuer(const x509_st& certificate) {
  const std::unique_ptr<BIO, FreeBy<BIO_free>> out(BIO_new(BIO_s_mem()));
  AGENT_CHECK(out != nullptr);
  X509_NAME_print_ex(out.get(), X509_get_issuer_name(&certificate), 0, XN_FLAG_RFC2253);
  char* text = nullptr;
  const long size = BIO_get_mem_data(out.get(), &text);
  return {text, static_cast<std::size_t>(size)};
}

Result<std::vector<X509Ptr>> parse_certificates(std::string_view pem, std::size_t max_count) {
  prepare_library();
  if (pem.size() > static_cast<std::size_t>(std::numeric_limits<int>::max())) {
    return fail(Errc::too_large, "parse_certificates");
  }
  const std::unique_ptr<BIO, FreeBy<BIO_free>> bio(
      BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  AGENT_CHECK(bio != nullptr);
  std::vector<X509Ptr> certificates;
  for (;;) {
    ERR_clear_error();
    X509Ptr certificate(PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr));
    if (!certificate) break;
    if (certificates.size() == max_count) return fail(Errc::too_large, "parse_certificates");
    certificates.push_back(std::move(certificate));
  }
  // The end of the text is told by "no start line"; everything else is a broken block.
  const unsigned long last = ERR_peek_last_error();
  ERR_clear_error();
  if (ERR_GET_LIB(last) != ERR_LIB_PEM || ERR_GET_REASON(last) != PEM_R_NO_START_LINE) {
    return fail(Errc::bad_certificate, "parse_certificates", ERR_GET_REASON(last));
  }
  if (certificates.empty()) return fail(Errc::not_found, "parse_certificates");
  return certificates;
}

}  // namespace mooring::identity
