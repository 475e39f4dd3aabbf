#include "transparent-proxy/helper/rule_events.h"

#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <sys/socket.h>

#include <cerrno>

namespace mooring::transparent_proxy {

Result<UniqueFd> open_rule_events() {
  UniqueFd fd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_NETFILTER));
  if (!fd.valid()) return fail_errno(errno, "netlink socket");
  sockaddr_nl address{};
  address.nl_family = AF_NETLINK;
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    return fail_errno(errno, "netlink bind");
  }
  const int group = NFNLGRP_NFTABLES;
  if (::setsockopt(fd.get(), SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof group) != 0) {
    return fail_errno(errno, "nftables events");
  }
  return fd;
}

void drain_rule_events(int fd) noexcept {
  char block[8192];
  // ENOBUFS says that notices were lost, which is a notice too. Bounded: another turn takes the
  // rest.
  for (int i = 0; i < 256; ++i) {
    if (::recv(fd, block, sizeof block, MSG_DONTWAIT) < 0 && errno != ENOBUFS && errno != EINTR)
      return;
  }
}

}  // namespace mooring::transparent_proxy
