#include "net/socket.h"

#include <linux/netfilter_ipv4.h>
#include <linux/sockios.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <cerrno>

namespace mooring::net {

namespace {

// linux/netfilter_ipv6/ip6_tables.h and linux/in6.h do not go together with netinet/in.h.
constexpr int kIp6OriginalDst = 80;
constexpr int kIpv6Transparent = 75;

bool set_int(int fd, int level, int name, int value) noexcept {
  return ::setsockopt(fd, level, name, &value, sizeof value) == 0;
}

int seconds(Milliseconds span) noexcept {
  return static_cast<int>(std::max<std::int64_t>(1, span.count() / 1000));
}

Result<SocketAddress> ask(int fd,
                          int (*call)(int, sockaddr*, socklen_t*),
                          const char* place) noexcept {
  sockaddr_storage raw{};
  socklen_t size = sizeof raw;
  if (call(fd, reinterpret_cast<sockaddr*>(&raw), &size) != 0) return fail_errno(errno, place);
  return SocketAddress::from_sockaddr(raw);
}

Result<UniqueFd> make_socket(const IpAddress& ip) {
  UniqueFd fd(
      ::socket(ip.is_v4() ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return fail_errno(errno, "socket");
  return fd;
}

Result<void> bind_to(int fd, const SocketAddress& address) {
  sockaddr_storage raw{};
  const socklen_t size = address.to_sockaddr(raw);
  if (::bind(fd, reinterpret_cast<const sockaddr*>(&raw), size) != 0)
    return fail_errno(errno, "bind");
  return {};
}

}  // namespace

Result<UniqueFd> make_listener(const SocketAddress& address, const ListenOptions& options) {
  auto fd = make_socket(address.ip);
  if (!fd) return fail(fd.error());
  const bool v4 = address.ip.is_v4();
  set_int(fd->get(), SOL_SOCKET, SO_REUSEADDR, 1);
  if (options.reuse_port) set_int(fd->get(), SOL_SOCKET, SO_REUSEPORT, 1);
  if (!v4) set_int(fd->get(), IPPROTO_IPV6, IPV6_V6ONLY, 1);
  if (options.transparent && !(v4 ? set_int(fd->get(), SOL_IP, IP_TRANSPARENT, 1)
                                  : set_int(fd->get(), IPPROTO_IPV6, kIpv6Transparent, 1))) {
    return fail_errno(errno, "IP_TRANSPARENT");
  }
  if (auto bound = bind_to(fd->get(), address); !bound) return fail(bound.error());
  if (::listen(fd->get(), options.backlog) != 0) return fail_errno(errno, "listen");
  return fd;
}

bool is_lack_of_family(const Error& error) noexcept {
  return error.detail == EADDRNOTAVAIL || error.detail == EAFNOSUPPORT;
}

void set_proxy_options(int fd, const Keepalive& keepalive) noexcept {
  set_int(fd, IPPROTO_TCP, TCP_NODELAY, 1);
  const linger reset_on_close{1, 0};
  ::setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset_on_close, sizeof reset_on_close);
  set_int(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
  set_int(fd, IPPROTO_TCP, TCP_KEEPIDLE, seconds(keepalive.idle));
  set_int(fd, IPPROTO_TCP, TCP_KEEPINTVL, seconds(keepalive.interval));
}

void allow_orderly_close(int fd) noexcept {
  const linger background{0, 0};
  ::setsockopt(fd, SOL_SOCKET, SO_LINGER, &background, sizeof background);
}

int pending_error(int fd) noexcept {
  int error = 0;
  socklen_t size = sizeof error;
  return ::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0 ? error : errno;
}

std::size_t readable_bytes(int fd) noexcept {
  int count = 0;
  return ::ioctl(fd, FIONREAD, &count) == 0 && count > 0 ? static_cast<std::size_t>(count) : 0;
}

std::size_t unacknowledged_bytes(int fd) noexcept {
  int count = 0;
  return ::ioctl(fd, SIOCOUTQ, &count) == 0 && count > 0 ? static_cast<std::size_t>(count) : 0;
}

Result<UniqueFd> make_connecting_socket(const SocketAddress& target,
                                        const std::optional<IpAddress>& source,
                                        const Keepalive& keepalive) {
  auto fd = make_socket(target.ip);
  if (!fd) return fd;
  set_proxy_options(fd->get(), keepalive);
  if (source) {
    // The port is chosen at connect(), when the kernel knows the whole tuple.
    set_int(fd->get(), SOL_IP, IP_BIND_ADDRESS_NO_PORT, 1);
    if (auto bound = bind_to(fd->get(), {*source, 0}); !bound) return fail(bound.error());
  }
  return fd;
}

Result<OriginalDst> redirected_dst(int fd, bool v4) noexcept {
  sockaddr_storage raw{};
  socklen_t size = sizeof raw;
  const int result = v4 ? ::getsockopt(fd, SOL_IP, SO_ORIGINAL_DST, &raw, &size)
                        : ::getsockopt(fd, IPPROTO_IPV6, kIp6OriginalDst, &raw, &size);
  if (result != 0) return fail_errno(errno, "SO_ORIGINAL_DST");
  const auto address = SocketAddress::from_sockaddr(raw);
  if (!address) return fail(address.error());
  return OriginalDst{*address};
}

Result<SocketAddress> local_address(int fd) noexcept {
  return ask(fd, ::getsockname, "getsockname");
}
Result<SocketAddress> peer_address(int fd) noexcept {
  return ask(fd, ::getpeername, "getpeername");
}

Result<IpAddress> source_address(const SocketAddress& target) noexcept {
  sockaddr_storage storage{};
  const socklen_t length = target.to_sockaddr(storage);
  const UniqueFd fd(::socket(storage.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return fail_errno(errno, "socket");
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&storage), length) != 0)
    return fail_errno(errno, "connect");
  return local_address(fd.get()).map([](const SocketAddress& own) { return own.ip; });
}

}  // namespace mooring::net
