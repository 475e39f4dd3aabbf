#include "discovery/refusing_listener.h"

#include "core/address.h"
#include "xdsapi/listener.pb.h"

namespace mooring::discovery {

std::optional<snapshot::Listener> make_refusing_listener(std::string_view bytes,
                                                         std::string reason) {
  constexpr std::size_t kMaxBytes = std::size_t{64} * 1024 * 1024;
  envoy::config::listener::v3::Listener message;
  // What comes before the break is kept, and the address is among the first fields.
  if (bytes.size() > kMaxBytes) return std::nullopt;
  static_cast<void>(message.ParsePartialFromArray(bytes.data(), static_cast<int>(bytes.size())));
  const auto& socket = message.address().socket_address();
  const auto ip = parse_ip(socket.address());
  if (!ip || socket.port_value() == 0 || socket.port_value() > 65535) return std::nullopt;
  const auto port = static_cast<std::uint16_t>(socket.port_value());

  snapshot::Listener listener;
  listener.name = message.name();
  if (message.traffic_direction() == envoy::config::core::v3::INBOUND)
    listener.direction = snapshot::Direction::inbound;
  const bool is_bound = !message.has_bind_to_port() || message.bind_to_port().value();
  const bool is_for_all = is_bound && message.use_original_dst().value();
  const auto whole = static_cast<std::uint8_t>(ip->is_v4() ? 32 : 128);
  const auto length = ip->is_unspecified() ? std::uint8_t{0} : whole;
  if (is_for_all) {
    listener.match.push_back({IpPrefix{*ip, 0}, 0});
  } else if (is_bound) {
    listener.bind = SocketAddress{*ip, port};
  } else {
    listener.match.push_back({IpPrefix{*ip, length}, port});
  }
  listener.chains.emplace_back().not_served = std::move(reason);
  return listener;
}

}  // namespace mooring::discovery
