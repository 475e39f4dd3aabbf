// The agent's listening sockets, made by the helper because a transparent one needs its capability.
#pragma once

#include <vector>

#include "capture_client/messages.h"
#include "core/fd.h"
#include "core/result.h"

namespace mooring::transparent_proxy {

struct MadeListeners {
  capture_client::ListenerSet set;
  std::vector<UniqueFd> descriptors;  // one for each entry of the set
};

/// Bound to loopback, so that nobody reaches them but through our rules: redirect and tproxy both
/// lead there. But a redirect of what comes from outside leads to the address that it came to
/// (`redirects_inbound`): those are bound to every address, and the agent refuses who dials them.
/// A family that the host lacks is left out, and a direction whose port is 0.
/// SO_REUSEPORT lets only sockets of this helper's user share the port.
[[nodiscard]] Checked<MadeListeners> make_listeners(const capture_client::GetListeners& request,
                                                    bool redirects_inbound);

}  // namespace mooring::transparent_proxy
