// The host's resolvers, as /etc/resolv.conf names them. Pure.
#pragma once

#include <string_view>
#include <vector>

#include "core/address.h"

namespace mooring::dns {

/// resolv.conf(5): no more are used.
inline constexpr std::size_t kMaxResolvers = 3;

/// Its nameserver lines in their order, port 53. What is no address (or one with a scope) is left
/// out.
[[nodiscard]] std::vector<SocketAddress> parse_resolv_conf(std::string_view text);

}  // namespace mooring::dns
