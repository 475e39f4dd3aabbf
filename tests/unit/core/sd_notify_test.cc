#include "core/sd_notify.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <string>

#include <gtest/gtest.h>

#include "core/fd.h"

namespace mooring {
namespace {

// Stands for systemd: an abstract socket that keeps what it is sent.
class Listener {
 public:
  Listener() : fd_(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) {
    const std::string name = "mooring-sd-notify-" + std::to_string(::getpid());
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path + 1, name.data(), name.size());
    const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
    EXPECT_EQ(::bind(fd_.get(), reinterpret_cast<const sockaddr*>(&address), size), 0);
    ::setenv("NOTIFY_SOCKET", ("@" + name).c_str(), 1);
  }
  ~Listener() { ::unsetenv("NOTIFY_SOCKET"); }
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  std::string next() const {
    char text[256];
    const ssize_t got = ::recv(fd_.get(), text, sizeof text, 0);
    return got < 0 ? "nothing" : std::string(text, static_cast<std::size_t>(got));
  }

 private:
  UniqueFd fd_;
};

TEST(SdNotify, SendsTheStateAsOneDatagram) {
  const Listener systemd;
  sd_notify("READY=1\nSTATUS=serving");
  EXPECT_EQ(systemd.next(), "READY=1\nSTATUS=serving");
  EXPECT_EQ(systemd.next(), "nothing");
}

TEST(SdNotify, IsSilentWithoutASocketOrWithABadOne) {
  ::unsetenv("NOTIFY_SOCKET");
  sd_notify("READY=1");
  for (const std::string& path :
       {std::string("relative"), "/" + std::string(200, 'x'), std::string()}) {
    ::setenv("NOTIFY_SOCKET", path.c_str(), 1);
    sd_notify("READY=1");
  }
  ::unsetenv("NOTIFY_SOCKET");
}

TEST(SdWatchdog, TellsTheIntervalOfThisProcessOnly) {
  EXPECT_EQ(sd_watchdog_interval(), Milliseconds{0});
  ::setenv("WATCHDOG_USEC", "10000000", 1);
  EXPECT_EQ(sd_watchdog_interval(), Milliseconds{10000});
  ::setenv("WATCHDOG_PID", "1", 1);
  EXPECT_EQ(sd_watchdog_interval(), Milliseconds{0});
  ::setenv("WATCHDOG_PID", std::to_string(::getpid()).c_str(), 1);
  EXPECT_EQ(sd_watchdog_interval(), Milliseconds{10000});
  ::unsetenv("WATCHDOG_PID");
  ::setenv("WATCHDOG_USEC", "soon", 1);
  EXPECT_EQ(sd_watchdog_interval(), Milliseconds{0});
  ::unsetenv("WATCHDOG_USEC");
}

}  // namespace
}  // namespace mooring
