// The configuration's words about TLS as sessions take them. Pure.
#pragma once

#include <vector>

#include "config/model.h"
#include "tls/session.h"

namespace mooring::proxy {

[[nodiscard]] tls::Parameters tls_parameters(const config::Tls& config);
[[nodiscard]] std::vector<identity::NameMatcher> peer_matchers(
    const std::vector<config::SpiffePattern>& patterns);

}  // namespace mooring::proxy
