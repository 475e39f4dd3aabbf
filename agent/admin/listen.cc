#include "admin/listen.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>

namespace mooring::admin {

namespace {

constexpr int kBacklog = 64;
constexpr mode_t kSocketMode = 0660;

UniqueFd make_socket(int family) {
  return UniqueFd(::socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
}

/// Removes a socket that nobody serves any more.
Result<void> remove_stale(const std::string& path, const sockaddr_un& address) {
  struct stat info{};
  if (::lstat(path.c_str(), &info) != 0) return {};
  if (!S_ISSOCK(info.st_mode))
    return fail(Errc::conflict, "admin socket: the path is no socket", EEXIST);
  const UniqueFd probe = make_socket(AF_UNIX);
  if (!probe.valid()) return fail_errno(errno, "socket");
  if (::connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 ||
      errno != ECONNREFUSED) {
    return fail(Errc::conflict, "admin socket: another agent answers there", EADDRINUSE);
  }
  if (::unlink(path.c_str()) != 0 && errno != ENOENT)
    return fail_errno(errno, "unlink admin socket");
  return {};
}

}  // namespace

Result<UniqueFd> listen_unix(const std::string& path) {
  if (path.empty()) return fail(Errc::too_large, "path of a unix socket");
  const Result<sockaddr_un> address = unix_address(path);
  if (!address) return fail(address.error());
  if (Result<void> clear = remove_stale(path, *address); !clear) return fail(clear.error());
  UniqueFd fd = make_socket(AF_UNIX);
  if (!fd.valid()) return fail_errno(errno, "socket");
  // The inode takes the socket's mode, less the umask: never wider than meant, then exactly as
  // meant.
  if (::fchmod(fd.get(), kSocketMode) != 0) return fail_errno(errno, "fchmod admin socket");
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&*address), sizeof *address) != 0) {
    return fail_errno(errno, "bind admin socket");
  }
  if (::chmod(path.c_str(), kSocketMode) != 0) return fail_errno(errno, "chmod admin socket");
  if (::listen(fd.get(), kBacklog) != 0) return fail_errno(errno, "listen on admin socket");
  return fd;
}

Result<UniqueFd> listen_tcp(const SocketAddress& address) {
  sockaddr_storage storage{};
  const socklen_t size = address.to_sockaddr(storage);
  UniqueFd fd = make_socket(storage.ss_family);
  if (!fd.valid()) return fail_errno(errno, "socket");
  const int on = 1;
  if (::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0) {
    return fail_errno(errno, "SO_REUSEADDR");
  }
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&storage), size) != 0) {
    return fail_errno(errno, "bind metrics address");
  }
  if (::listen(fd.get(), kBacklog) != 0) return fail_errno(errno, "listen on metrics address");
  return fd;
}

}  // namespace mooring::admin
