#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

#include "capture_client/transport.h"
#include "core/address.h"
#include "core/log.h"
#include "transparent-proxy/helper/server.h"

namespace mooring::transparent_proxy {

namespace {

// sd_listen_fds(3): the first passed descriptor is 3.
UniqueFd passed_by_systemd() {
  const char* pid = ::getenv("LISTEN_PID");    // NOLINT(concurrency-mt-unsafe)
  const char* count = ::getenv("LISTEN_FDS");  // NOLINT(concurrency-mt-unsafe)
  if (pid == nullptr || count == nullptr || std::atoi(pid) != ::getpid() || std::atoi(count) < 1)
    return UniqueFd();
  constexpr int kFirst = 3;
  int type = 0;
  socklen_t size = sizeof type;
  if (::getsockopt(kFirst, SOL_SOCKET, SO_TYPE, &type, &size) != 0 || type != SOCK_SEQPACKET)
    return UniqueFd();
  return UniqueFd(kFirst);
}

// The unit's group, so that nothing has to be handed over: it may not be allowed to.
bool has_group(const std::string& path, gid_t group) {
  struct stat info{};
  return ::stat(path.c_str(), &info) == 0 && info.st_gid == group;
}

tl::unexpected<Diagnostic> cannot(const std::string& path, const char* what) {
  return fail(Diagnostic{path, describe(error_from_errno(errno, what)), ""});
}

}  // namespace

Checked<UniqueFd> make_server_socket(const std::string& path, gid_t agent_gid) {
  if (UniqueFd passed = passed_by_systemd(); passed.valid()) return passed;
  if (capture_client::connect_helper(path, false)) {
    return fail(Diagnostic{path, "another mooring-net answers there", "stop it first"});
  }
  const auto address = unix_address(path);
  if (!address) return fail(Diagnostic{path, "is too long for a socket", ""});
  UniqueFd fd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.valid()) return cannot(path, "socket");
  ::unlink(path.c_str());
  const mode_t before = ::umask(0177);
  const bool is_bound =
      ::bind(fd.get(), reinterpret_cast<const sockaddr*>(&*address), sizeof *address) == 0;
  ::umask(before);
  if (!is_bound) return cannot(path, "bind");
  mode_t mode = 0660;
  if (!has_group(path, agent_gid) &&
      ::chown(path.c_str(), static_cast<uid_t>(-1), agent_gid) != 0) {
    // Without the group the agent could not connect at all; every request is checked by SO_PEERCRED
    // anyway.
    mode = 0666;
    log::warn("socket {} is open to all local users: not a member of group {}", path, agent_gid);
  }
  if (::chmod(path.c_str(), mode) != 0) return cannot(path, "chmod");
  if (::listen(fd.get(), 16) != 0) return cannot(path, "listen");
  return fd;
}

}  // namespace mooring::transparent_proxy
