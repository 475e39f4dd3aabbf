#include "transparent-proxy/helper/listeners.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>

#include <fmt/format.h>

#include "core/address.h"

namespace mooring::transparent_proxy {

namespace {

using capture_client::Direction;

constexpr int kBacklog = 4096;

bool set_flag(int fd, int level, int option) {
  const int on = 1;
  return ::setsockopt(fd, level, option, &on, sizeof on) == 0;
}

bool is_missing_family(int error) {
  return error == EAFNOSUPPORT || error == EADDRNOTAVAIL;
}

Result<UniqueFd> make_listener(const SocketAddress& at, bool is_transparent) {
  const bool is_v6 = !at.ip.is_v4();
  UniqueFd fd(::socket(is_v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return fail_errno(errno, "socket");
  bool done =
      set_flag(fd.get(), SOL_SOCKET, SO_REUSEADDR) && set_flag(fd.get(), SOL_SOCKET, SO_REUSEPORT);
  if (is_v6) done = done && set_flag(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY);
  if (is_transparent) {
    done = done && (is_v6 ? set_flag(fd.get(), IPPROTO_IPV6, IPV6_TRANSPARENT)
                          : set_flag(fd.get(), IPPROTO_IP, IP_TRANSPARENT));
  }
  if (!done) return fail_errno(errno, "setsockopt");
  sockaddr_storage address{};
  const socklen_t size = at.to_sockaddr(address);
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), size) != 0)
    return fail_errno(errno, "bind");
  if (::listen(fd.get(), kBacklog) != 0) return fail_errno(errno, "listen");
  return fd;
}

struct Place {
  Direction direction;
  bool is_v6;
};
constexpr std::array kPlaces{Place{Direction::outbound, false},
                             Place{Direction::outbound, true},
                             Place{Direction::inbound, false},
                             Place{Direction::inbound, true}};

// Port 0: none is wanted there.
SocketAddress address_at(const Place& place,
                         const capture_client::GetListeners& request,
                         bool redirects_inbound) {
  const bool is_inbound = place.direction == Direction::inbound;
  const std::uint16_t port = is_inbound ? request.inbound_port : request.outbound_port;
  if (is_inbound && redirects_inbound) {
    constexpr std::array<std::uint8_t, 16> kAny{};
    return {place.is_v6 ? IpAddress::v6(kAny) : IpAddress::v4(0), port};
  }
  return {place.is_v6 ? IpAddress::v6_loopback() : IpAddress::v4_loopback(), port};
}

}  // namespace

Checked<MadeListeners> make_listeners(const capture_client::GetListeners& request,
                                      bool redirects_inbound) {
  MadeListeners made;
  for (std::uint16_t worker = 0; worker < request.workers; ++worker) {
    for (const Place& place : kPlaces) {
      const SocketAddress at = address_at(place, request, redirects_inbound);
      if (at.port == 0) continue;
      const bool is_inbound = place.direction == Direction::inbound;
      auto fd = make_listener(at, is_inbound && !redirects_inbound);
      if (!fd && place.is_v6 && is_missing_family(fd.error().detail)) continue;
      if (!fd) {
        return fail(Diagnostic{at.to_string(),
                               fmt::format("cannot listen: {}", describe(fd.error())),
                               "is another program using the port?"});
      }
      made.set.listeners.push_back({place.direction, place.is_v6, worker});
      made.descriptors.push_back(std::move(*fd));
    }
  }
  return made;
}

}  // namespace mooring::transparent_proxy
