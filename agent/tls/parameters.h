// Ciphers, groups and versions of a context.
#pragma once

#include "core/result.h"
#include "tls/openssl.h"
#include "tls/session.h"

namespace mooring::tls {

/// Everything in Parameters but resumption. Fails with unsupported for a name that is not in our
/// tables.
[[nodiscard]] Result<void> apply_parameters(SSL_CTX& context, const Parameters& parameters);

}  // namespace mooring::tls
