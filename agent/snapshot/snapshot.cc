#include "snapshot/snapshot.h"

namespace mooring::snapshot {

namespace {

using Index = std::unordered_map<std::uint16_t, std::vector<Snapshot::Candidate>>;

std::size_t find(const Index& index,
                 const SocketAddress& destination,
                 std::size_t otherwise) noexcept {
  for (const std::uint16_t port : {destination.port, std::uint16_t{0}}) {
    const auto candidates = index.find(port);
    if (candidates == index.end()) continue;
    for (const auto& candidate : candidates->second) {
      if (candidate.prefix.contains(destination.ip)) return candidate.listener;
    }
  }
  return otherwise;
}

}  // namespace

std::size_t Snapshot::find_outbound(const SocketAddress& destination) const noexcept {
  return find(outbound_by_port, destination, kOutboundOther);
}

std::size_t Snapshot::find_inbound(const SocketAddress& destination) const noexcept {
  return find(inbound_by_port, destination, kInboundOther);
}

std::size_t Snapshot::find_listener(const std::string& name) const noexcept {
  const auto found = listener_by_name.find(name);
  return found == listener_by_name.end() ? kNoMatch : found->second;
}

}  // namespace mooring::snapshot
