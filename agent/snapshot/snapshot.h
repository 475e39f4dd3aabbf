// What a worker decides by: an index of shared, immutable parts. Deeply const; any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "identity/material.h"
#include "snapshot/resources.h"

namespace mooring::snapshot {

using ListenerPtr = std::shared_ptr<const Listener>;
using ClusterPtr = std::shared_ptr<const Cluster>;

/// Positions in Snapshot::listeners that always exist: captured connections that match nothing.
inline constexpr std::size_t kOutboundOther = 0;
inline constexpr std::size_t kInboundOther = 1;
inline constexpr std::size_t kNoMatch = static_cast<std::size_t>(-1);

struct Snapshot {
  std::uint64_t generation = 0;
  std::vector<ListenerPtr> listeners;
  std::vector<ClusterPtr> clusters;
  std::vector<std::size_t> cluster_of_listener;  // same positions as listeners; kNoMatch: none
  identity::MaterialPtr material;                // null: this host has no identity
  config::Tls tls;
  config::OtherTraffic other = config::OtherTraffic::pass;

  /// The captured outbound listener for an original destination: the longest prefix, an exact port
  /// before any port; kOutboundOther where none matches.
  [[nodiscard]] std::size_t find_outbound(const SocketAddress& destination) const noexcept;
  /// The captured inbound listener of a port; kInboundOther where none matches.
  [[nodiscard]] std::size_t find_inbound(const SocketAddress& destination) const noexcept;
  /// By name; kNoMatch where it is gone.
  [[nodiscard]] std::size_t find_listener(const std::string& name) const noexcept;

  struct Candidate {
    IpPrefix prefix;
    std::size_t listener = 0;
  };
  // By port (0: any), longest prefix first.
  std::unordered_map<std::uint16_t, std::vector<Candidate>> outbound_by_port;
  std::unordered_map<std::uint16_t, std::vector<Candidate>> inbound_by_port;
  std::unordered_map<std::string, std::size_t> listener_by_name;
};
using SnapshotPtr = std::shared_ptr<const Snapshot>;

}  // namespace mooring::snapshot
