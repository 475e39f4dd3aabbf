#include "support/proxy_pair.h"

#include <poll.h>
#include <sys/socket.h>

#include <cerrno>

#include "net/socket.h"

namespace mooring::test {

UniqueFd listen_on_loopback(SocketAddress& address) {
  auto fd = net::make_listener({IpAddress::v4(0x7f000001), 0}, {});
  AGENT_CHECK(fd.has_value());
  address = net::local_address(fd->get()).value();
  return std::move(*fd);
}

UniqueFd connect_to(const SocketAddress& address) {
  UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const timeval limit{10, 0};
  ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  sockaddr_storage raw{};
  const socklen_t size = address.to_sockaddr(raw);
  AGENT_CHECK(::connect(fd.get(), reinterpret_cast<sockaddr*>(&raw), size) == 0);
  return fd;
}

UniqueFd accept_on(int listening) {
  pollfd waiting{listening, POLLIN, 0};
  ::poll(&waiting, 1, 10'000);
  UniqueFd fd(::accept4(listening, nullptr, nullptr, SOCK_CLOEXEC));
  if (fd.valid()) {
    const timeval limit{10, 0};
    ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  }
  return fd;
}

std::string read_all(int fd) {
  std::string text;
  char block[65536];
  for (;;) {
    const ssize_t got = ::recv(fd, block, sizeof block, 0);
    if (got == 0) return text;
    if (got < 0) return errno == ECONNRESET ? text + "RESET" : text + "TIMEOUT";
    text.append(block, static_cast<std::size_t>(got));
  }
}

void send_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t put = ::send(fd, text.data(), text.size(), MSG_NOSIGNAL);
    if (put <= 0) return;
    text.remove_prefix(static_cast<std::size_t>(put));
  }
}

std::string ask(int fd, std::string_view text) {
  const ssize_t put = ::send(fd, text.data(), text.size(), MSG_NOSIGNAL);
  if (put < 0 && errno == ECONNRESET) return "RESET";
  return read_all(fd);
}

}  // namespace mooring::test
