#include "identity/path.h"

#include <openssl/err.h>
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <memory>

namespace mooring::identity {

namespace {

struct StoreContextFree {
  void operator()(X509_STORE_CTX* context) const noexcept { X509_STORE_CTX_free(context); }
};
struct StackFree {
  void operator()(STACK_OF(X509) * stack) const noexcept { sk_X509_free(stack); }
};
using StackPtr = std::unique_ptr<STACK_OF(X509), StackFree>;

// Security strength as in NIST SP 800-57: 112 bits, so RSA from 2048 bits on and no SHA-1.
constexpr int kAuthLevel = 2;

StackPtr borrow(const std::vector<X509Ptr>& certificates) {
  StackPtr stack(sk_X509_new_reserve(nullptr, static_cast<int>(certificates.size())));
  AGENT_CHECK(stack != nullptr);
  for (const X509Ptr& certificate : certificates)
    sk_X509_push(stack.get(), certificate.get());
  return stack;
}

void set_parameters(X509_STORE_CTX& context, Purpose purpose, std::optional<WallTime> at) {
  X509_VERIFY_PARAM* parameters = X509_STORE_CTX_get0_param(&context);
  // An anchor of a SPIFFE bundle SHOULD be self-signed (X.509-SVID §6.1), so it need not be: an
  // intermediate in the bundle ends the path, as RFC 5280 §6.1.1 (d) has it and as go-spiffe and
  // Envoy do it. Leaves cannot pass as anchors: a domain's bundle holds CA certificates only. (A
  // plain CA text may hold a server's own certificate, which then stands for itself.)
  X509_VERIFY_PARAM_set_flags(parameters, X509_V_FLAG_PARTIAL_CHAIN);
  X509_VERIFY_PARAM_set_depth(parameters,
                              kMaxPathCertificates - 2);  // OpenSSL counts the intermediates
  X509_VERIFY_PARAM_set_auth_level(parameters, kAuthLevel);
  if (purpose == Purpose::client)
    X509_VERIFY_PARAM_set_purpose(parameters, X509_PURPOSE_SSL_CLIENT);
  if (purpose == Purpose::server)
    X509_VERIFY_PARAM_set_purpose(parameters, X509_PURPOSE_SSL_SERVER);
  if (at) {
    X509_VERIFY_PARAM_set_time(parameters, std::chrono::system_clock::to_time_t(*at));
  } else {
    X509_VERIFY_PARAM_set_flags(parameters, X509_V_FLAG_NO_CHECK_TIME);
  }
}

Errc code_of(int verify_error, int depth) noexcept {
  switch (verify_error) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
    case X509_V_ERR_CERT_NOT_YET_VALID:
      return Errc::expired;
    case X509_V_ERR_INVALID_PURPOSE:
      return depth == 0 ? Errc::bad_certificate : Errc::untrusted;
    default:
      return Errc::untrusted;  // an int of the library, not an enum of ours
  }
}

Result<VerifiedPath> facts(const STACK_OF(X509) * path, bool of_svid) noexcept {
  const int count = sk_X509_num(path);
  VerifiedPath verified{{}, WallTime::min(), WallTime::max()};
  for (int i = 0; i < count; ++i) {
    X509& certificate = *sk_X509_value(path, i);
    const bool is_intermediate = i > 0 && i < count - 1;
    if (is_intermediate) {
      if (const auto signer = check_signer(certificate, !of_svid); !signer) {
        return fail(Errc::untrusted, signer.error().place, X509_V_ERR_INVALID_CA);
      }
    }
    const auto span = validity(certificate);
    if (!span) return fail(span.error());
    verified.not_before = std::max(verified.not_before, span->not_before);
    verified.not_after = std::min(verified.not_after, span->not_after);
  }
  verified.anchor = fingerprint(*sk_X509_value(path, count - 1));
  return verified;
}

}  // namespace

Result<VerifiedPath> verify_path(const TrustBundle& bundle,
                                 x509_st& leaf,
                                 stack_st_X509* untrusted,
                                 Purpose purpose,
                                 std::optional<WallTime> at) {
  ERR_clear_error();
  const StackPtr anchors = borrow(bundle.anchors);
  const std::unique_ptr<X509_STORE_CTX, StoreContextFree> context(X509_STORE_CTX_new());
  AGENT_CHECK(context != nullptr);
  if (X509_STORE_CTX_init(context.get(), nullptr, &leaf, untrusted) != 1) {
    return fail(Errc::untrusted, "verify_path");
  }
  X509_STORE_CTX_set0_trusted_stack(context.get(), anchors.get());
  set_parameters(*context, purpose, at);
  const bool is_verified = X509_verify_cert(context.get()) == 1;
  ERR_clear_error();
  if (!is_verified) {
    const int error = X509_STORE_CTX_get_error(context.get());
    return fail(
        code_of(error, X509_STORE_CTX_get_error_depth(context.get())), "verify_path", error);
  }
  return facts(X509_STORE_CTX_get0_chain(context.get()), !bundle.trust_domain.empty());
}

}  // namespace mooring::identity
