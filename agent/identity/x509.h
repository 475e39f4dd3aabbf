// Owners of OpenSSL's certificate types and the few readings of a certificate that identity and tls
// share.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/clock.h"
#include "core/result.h"

struct x509_st;
struct evp_pkey_st;
struct stack_st_X509;

namespace mooring::identity {

struct X509Free {
  void operator()(x509_st* certificate) const noexcept;
};
struct EvpPkeyFree {
  void operator()(evp_pkey_st* key) const noexcept;
};
using X509Ptr = std::unique_ptr<x509_st, X509Free>;
using EvpPkeyPtr = std::unique_ptr<evp_pkey_st, EvpPkeyFree>;

using Fingerprint = std::array<std::uint8_t, 32>;  // SHA-256 of DER

/// Starts the library without the host's openssl.cnf, which could load modules or change what TLS
/// accepts. Cheap after the first call; everything here that is an entry point calls it.
void prepare_library() noexcept;

[[nodiscard]] Fingerprint fingerprint(const x509_st& certificate) noexcept;

/// Validity of one certificate. What WallTime cannot hold ("99991231235959Z") is its largest value.
struct Validity {
  WallTime not_before;
  WallTime not_after;
};
[[nodiscard]] Result<Validity> validity(const x509_st& certificate) noexcept;

/// Distinguished name of who signed it, as RFC 2253 writes it.
[[nodiscard]] std::string issuer(const x509_st& certificate);

/// Every certificate of a PEM text, in order, other PEM blocks skipped. Fails when one is broken,
/// when there is none or more than `max_count`.
[[nodiscard]] Result<std::vector<X509Ptr>> parse_certificates(std::string_view pem,
                                                              std::size_t max_count);

}  // namespace mooring::identity
