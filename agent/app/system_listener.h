// The control plane's own listeners: what they are served with. Pure but for TLS contexts.
#pragma once

#include <memory>

#include "admin/tls_front.h"
#include "core/clock.h"
#include "core/result.h"
#include "discovery/decode.h"
#include "snapshot/resources.h"
#include "tls/session.h"

namespace mooring::app {

/// Of a listener with TLS, whose secrets are among the resources. Who may ask is named by its
/// matchers; one without any would let in whoever the CA knows, and is refused. `scratch` and
/// `clock` outlive it.
[[nodiscard]] Checked<std::shared_ptr<const admin::TlsIdentity>> make_tls_identity(
    const discovery::SystemListener& listener,
    const snapshot::Resources& resources,
    tls::Scratch& scratch,
    const Clock& clock);

}  // namespace mooring::app
