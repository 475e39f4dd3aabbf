#include "tls/by_host.h"

#include <openssl/err.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

#include <string>

namespace mooring::tls {

bool expect_host(SSL& ssl, std::string_view host) {
  const std::string name(host);
  X509_VERIFY_PARAM* param = SSL_get0_param(&ssl);
  if (name.empty()) return false;  // would match any
  if (X509_VERIFY_PARAM_set1_ip_asc(param, name.c_str()) == 1) return true;
  ERR_clear_error();
  SSL_set_hostflags(&ssl,
                    X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
  return SSL_set1_host(&ssl, name.c_str()) == 1;
}

Failure failure_of_verification(long result) noexcept {
  switch (result) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
    case X509_V_ERR_CERT_NOT_YET_VALID:
      return Failure::expired;
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
      return Failure::unexpected_peer;
    default:  // the library's list is long and grows
      return Failure::untrusted;
  }
}

}  // namespace mooring::tls
