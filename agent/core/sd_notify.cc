#include "core/sd_notify.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <string>

#include "core/fd.h"

namespace mooring {

void sd_notify(std::string_view state) noexcept {
  const char* path = ::getenv("NOTIFY_SOCKET");  // NOLINT(concurrency-mt-unsafe): we never set it
  if (path == nullptr || (path[0] != '/' && path[0] != '@')) return;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::size_t size = std::strlen(path);
  if (size >= sizeof address.sun_path) return;
  std::memcpy(address.sun_path, path, size);
  if (path[0] == '@') address.sun_path[0] = '\0';  // an abstract socket, sd_notify(3)
  const UniqueFd fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.valid()) return;
  const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + size);
  // Nobody waits for this to arrive: what is lost is repeated by the next watchdog message.
  (void)::sendto(fd.get(),
                 state.data(),
                 state.size(),
                 MSG_NOSIGNAL,
                 reinterpret_cast<const sockaddr*>(&address),
                 length);
}

Milliseconds sd_watchdog_interval() noexcept {
  const char* usec = ::getenv("WATCHDOG_USEC");  // NOLINT(concurrency-mt-unsafe)
  const char* pid = ::getenv("WATCHDOG_PID");    // NOLINT(concurrency-mt-unsafe)
  if (usec == nullptr) return Milliseconds{0};
  if (pid != nullptr && std::strtol(pid, nullptr, 10) != ::getpid()) return Milliseconds{0};
  const long long value = std::strtoll(usec, nullptr, 10);
  return Milliseconds{value > 0 ? value / 1000 : 0};
}

}  // namespace mooring
