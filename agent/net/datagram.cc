#include "net/datagram.h"

#include <cerrno>

namespace mooring::net {

namespace {

Result<UniqueFd> make_socket(const SocketAddress& address) {
  const int family = address.ip.is_v4() ? AF_INET : AF_INET6;
  UniqueFd fd(::socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return fail(error_from_errno(errno, "socket"));
  const int on = 1;
  if (family == AF_INET6 &&
      ::setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on) != 0) {
    return fail(error_from_errno(errno, "IPV6_V6ONLY"));
  }
  return fd;
}

}  // namespace

Result<UniqueFd> make_datagram_socket(const SocketAddress& address) {
  auto fd = make_socket(address);
  if (!fd) return fd;
  sockaddr_storage storage{};
  const socklen_t size = address.to_sockaddr(storage);
  if (::bind(fd->get(), reinterpret_cast<const sockaddr*>(&storage), size) != 0)
    return fail(error_from_errno(errno, "bind"));
  return fd;
}

Result<UniqueFd> make_connected_datagram_socket(const SocketAddress& target) {
  auto fd = make_socket(target);
  if (!fd) return fd;
  sockaddr_storage storage{};
  const socklen_t size = target.to_sockaddr(storage);
  if (::connect(fd->get(), reinterpret_cast<const sockaddr*>(&storage), size) != 0)
    return fail(error_from_errno(errno, "connect"));
  return fd;
}

DatagramSocket::DatagramSocket(Loop& loop, StreamPool& pool, UniqueFd fd, OnDatagram on_datagram)
    : pool_(pool),
      fd_(std::move(fd)),
      on_datagram_(std::move(on_datagram)),
      watch_(loop, fd_.get(), [this](int, int) { on_readable(); }) {
  watch_.start(PollWatch::readable);
}

void DatagramSocket::send_to(Bytes bytes, const SocketAddress& to) noexcept {
  sockaddr_storage storage{};
  const socklen_t size = to.to_sockaddr(storage);
  (void)::sendto(fd_.get(),
                 bytes.data(),
                 bytes.size(),
                 MSG_NOSIGNAL,
                 reinterpret_cast<const sockaddr*>(&storage),
                 size);
}

void DatagramSocket::send(Bytes bytes) noexcept {
  (void)::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
}

void DatagramSocket::on_readable() {
  for (int i = 0; i < kDatagramsPerTurn; ++i) {
    sockaddr_storage storage{};
    socklen_t size = sizeof storage;
    const ssize_t count = ::recvfrom(fd_.get(),
                                     pool_.read_area.get(),
                                     StreamPool::kReadBytes,
                                     0,
                                     reinterpret_cast<sockaddr*>(&storage),
                                     &size);
    // A refusal that came for an earlier datagram is read like one; the next may be there.
    if (count < 0 && errno == EAGAIN) return;
    if (count < 0) continue;
    const auto from = SocketAddress::from_sockaddr(storage);
    if (from) on_datagram_({pool_.read_area.get(), static_cast<std::size_t>(count)}, *from);
  }
}

}  // namespace mooring::net
