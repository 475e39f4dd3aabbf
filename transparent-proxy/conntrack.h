// The kernel's memory of redirected datagrams. mooring-net only, one thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/buffer.h"
#include "core/result.h"

namespace mooring::transparent_proxy {

/// Forgets the UDP flows that were redirected to `port` of this host; how many there were. Without
/// their rule the kernel goes on sending them there for as long as datagrams come. Blocking, a
/// millisecond for thousands of flows. Fails where the kernel does not tell of flows.
[[nodiscard]] Result<std::size_t> forget_redirected_udp(std::uint16_t port);

/// Of one message of the kernel's answer to a dump of flows (linux/netfilter/nfnetlink_conntrack.h,
/// without its headers): CTA_TUPLE_ORIG as it stands there if the flow is UDP and is answered from
/// `port`, else nothing. Pure.
[[nodiscard]] std::vector<std::byte> redirected_flow(Bytes attributes, std::uint16_t port);

}  // namespace mooring::transparent_proxy
