// The words of a snapshot about TLS as sessions take them.
#pragma once

#include <memory>

#include "snapshot/snapshot.h"
#include "tls/session.h"

namespace mooring::proxy {

/// Of one worker, whose `scratch` and `clock` outlive it.
[[nodiscard]] Result<std::unique_ptr<tls::Context>> make_context(const snapshot::TlsPart& part,
                                                                 tls::Scratch& scratch,
                                                                 const Clock& clock);
[[nodiscard]] tls::Parameters tls_parameters(const snapshot::TlsParameters& parameters);
}  // namespace mooring::proxy
