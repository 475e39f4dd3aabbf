// The words of a snapshot about TLS as sessions take them.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "snapshot/snapshot.h"
#include "tls/session.h"

namespace mooring::proxy {

/// Of one worker, whose `scratch` and `clock` outlive it.
[[nodiscard]] Result<std::unique_ptr<tls::Context>> make_context(const snapshot::TlsPart& part,
                                                                 tls::Scratch& scratch,
                                                                 const Clock& clock);
[[nodiscard]] tls::Parameters tls_parameters(const snapshot::TlsParameters& parameters);

/// How a connection of this transport greets its server. Views of `transport` and `resume_key`.
[[nodiscard]] tls::Context::ClientOptions client_options(const snapshot::Transport& transport,
                                                         std::string_view resume_key = {});

/// Under which a client keeps its sessions with an endpoint. One made under other expectations is
/// not offered: its server would answer before we look at it again.
[[nodiscard]] std::string resume_key(const std::string& cluster,
                                     const SocketAddress& endpoint,
                                     const snapshot::Transport& transport);

}  // namespace mooring::proxy
