// Owners of OpenSSL's certificate types, for identity and tls only.
#pragma once

#include <memory>

struct x509_st;
struct evp_pkey_st;

namespace mooring::identity {

struct X509Free {
  void operator()(x509_st* certificate) const noexcept;
};
struct EvpPkeyFree {
  void operator()(evp_pkey_st* key) const noexcept;
};
using X509Ptr = std::unique_ptr<x509_st, X509Free>;
using EvpPkeyPtr = std::unique_ptr<evp_pkey_st, EvpPkeyFree>;

}  // namespace mooring::identity
