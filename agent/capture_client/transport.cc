#include "capture_client/transport.h"

#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "core/address.h"

namespace mooring::capture_client {

namespace {

constexpr std::size_t kMaxDescriptors = 253;  // SCM_MAX_FD of the kernel

void collect(msghdr& header, std::vector<UniqueFd>& out) {
  for (cmsghdr* part = CMSG_FIRSTHDR(&header); part != nullptr; part = CMSG_NXTHDR(&header, part)) {
    if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(part) + i * sizeof(int), sizeof fd);
      out.emplace_back(fd);
    }
  }
}

}  // namespace

Result<UniqueFd> connect_helper(const std::string& socket_path, bool is_blocking) {
  const auto address = unix_address(socket_path);
  if (!address) return fail(Errc::too_large, "helper socket path");
  const int flags = SOCK_SEQPACKET | SOCK_CLOEXEC | (is_blocking ? 0 : SOCK_NONBLOCK);
  UniqueFd fd(::socket(AF_UNIX, flags, 0));
  if (!fd.valid()) return fail_errno(errno, "socket");
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&*address), sizeof *address) != 0) {
    return fail_errno(errno, "connect to the helper");
  }
  return fd;
}

Result<void> send_message(int fd, const Message& message, const std::vector<int>& descriptors) {
  AGENT_CHECK(descriptors.size() <= kMaxDescriptors);
  std::vector<std::byte> packet = encode(message);
  iovec part{packet.data(), packet.size()};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kMaxDescriptors)] = {};
  if (!descriptors.empty()) {
    header.msg_control = control;
    header.msg_controllen = CMSG_SPACE(sizeof(int) * descriptors.size());
    cmsghdr* rights = CMSG_FIRSTHDR(&header);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(sizeof(int) * descriptors.size());
    std::memcpy(CMSG_DATA(rights), descriptors.data(), sizeof(int) * descriptors.size());
  }
  for (;;) {
    if (::sendmsg(fd, &header, MSG_NOSIGNAL) >= 0) return {};
    if (errno == EINTR) continue;
    if (errno == EAGAIN) return fail(Errc::exhausted, "send to the helper", errno);
    return fail_errno(errno, "send to the helper");
  }
}

void post_message(int fd, const Message& message, const std::vector<int>& descriptors) {
  const auto sent = send_message(fd, message, descriptors);
  if (!sent && sent.error().code != Errc::exhausted) ::shutdown(fd, SHUT_RDWR);
}

// The first version ends what it cannot read, later ones say why.
bool may_be_older(const Error& error, std::uint8_t version) noexcept {
  return version > kOldestProtocol && (error.code == Errc::closed || error.code == Errc::reset ||
                                       error.code == Errc::unsupported);
}

bool may_be_older(const Refused& refused, std::uint8_t version) noexcept {
  return version > kOldestProtocol && refused.code == Errc::unsupported;
}

Result<Received> receive_message(int fd) {
  std::vector<std::byte> packet(kMaxMessageBytes);
  iovec part{packet.data(), packet.size()};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kMaxDescriptors)] = {};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  header.msg_control = control;
  header.msg_controllen = sizeof control;
  ssize_t got = -1;
  do {
    got = ::recvmsg(fd, &header, MSG_CMSG_CLOEXEC);
  } while (got < 0 && errno == EINTR);
  if (got < 0) {
    if (errno == EAGAIN) return fail(Errc::timed_out, "receive", errno);
    return fail_errno(errno, "receive");
  }
  Received received;
  collect(header, received.descriptors);
  if (got == 0)
    return fail(Errc::closed, "receive");  // SEQPACKET: an empty packet is not one of ours
  if ((header.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0) return fail(Errc::too_large, "receive");
  auto message = decode(Bytes(packet.data(), static_cast<std::size_t>(got)));
  if (!message) return fail(message.error());
  received.message = std::move(*message);
  return received;
}

}  // namespace mooring::capture_client
