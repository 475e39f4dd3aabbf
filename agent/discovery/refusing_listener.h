// What takes the place of a listener that cannot be decoded: without it, its connections would go
// where they go without a listener, which may be past the mesh.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "snapshot/resources.h"

namespace mooring::discovery {

/// `bytes`: of an envoy.config.listener.v3.Listener, sound or not. One chain, which serves nothing
/// and says why, at the listener's address. Nothing if that cannot be read, or is no IP address.
[[nodiscard]] std::optional<snapshot::Listener> make_refusing_listener(std::string_view bytes,
                                                                       std::string reason);

}  // namespace mooring::discovery
