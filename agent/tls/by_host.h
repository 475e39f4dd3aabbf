// Servers that are known by a host name, as a control plane is, and not by a SPIFFE ID.
#pragma once

#include <string_view>

#include "tls/openssl.h"
#include "tls/session.h"

namespace mooring::tls {

/// The DNS name or IP address that the certificate must have among its alternative names; a
/// wildcard stands for a whole label. False for a name that is empty or cannot be one.
[[nodiscard]] bool expect_host(SSL& ssl, std::string_view host);

/// `result` as SSL_get_verify_result() gives it, not X509_V_OK.
[[nodiscard]] Failure failure_of_verification(long result) noexcept;

}  // namespace mooring::tls
