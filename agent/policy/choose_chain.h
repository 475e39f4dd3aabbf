// Which filter chain of a listener serves a connection. Pure.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "snapshot/resources.h"

namespace mooring::policy {

/// What is known of a connection before its chain is. Views live as long as the call.
struct ChainFacts {
  SocketAddress destination;                                // the original one
  std::string_view server_name = {};                        // the SNI in lower case
  std::string_view transport_protocol = "raw_buffer";       // or "tls"
  std::span<const std::string> application_protocols = {};  // in the client's order
};

inline constexpr std::size_t kNoChain = static_cast<std::size_t>(-1);

/// The position of the chain, or kNoChain. As Envoy does: port, destination prefix, server name,
/// transport protocol, application protocols, one after the other; at each the most specific
/// criterion that some remaining chain has and that holds decides, and what it leaves out does not
/// come back (envoy.config.listener.v3.FilterChainMatch). Of equal chains the first one counts.
[[nodiscard]] std::size_t choose_chain(std::span<const snapshot::FilterChain> chains,
                                       const ChainFacts& facts) noexcept;

/// Can first bytes make a difference for a connection to `destination`?
[[nodiscard]] bool needs_first_bytes(std::span<const snapshot::FilterChain> chains,
                                     const SocketAddress& destination) noexcept;

}  // namespace mooring::policy
