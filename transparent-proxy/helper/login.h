// Did a command come from a login that began after something happened? Whoever asks that must not
// be answered by a terminal that was open before, because that proves nothing about the way into
// this host.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "core/result.h"

namespace mooring::transparent_proxy {

/// Of /proc/PID/stat, proc(5).
struct ProcessFacts {
  std::string name;
  pid_t parent = 0;
  pid_t session = 0;
  bool has_terminal = false;
  std::uint64_t began = 0;  // clock ticks since boot
  friend bool operator==(const ProcessFacts&, const ProcessFacts&) = default;
};
using ReadProcess = std::function<std::optional<ProcessFacts>(pid_t)>;

/// Success if the login of `pid` began after `since`: its outermost process with a terminal (or,
/// where it has none, its session's leader), and what that was started by, which is the connection.
/// A new window of an old tmux, or a new channel of an old SSH connection, is an old login.
[[nodiscard]] Checked<void> check_login(pid_t pid, std::uint64_t since, const ReadProcess& read);

[[nodiscard]] std::optional<ProcessFacts> parse_process_stat(std::string_view text);
/// Looks into a /proc: that of the descriptor, or of its own where it is -1 or no procfs.
class ProcessReader {
 public:
  explicit ProcessReader(int folder) noexcept;
  [[nodiscard]] std::optional<ProcessFacts> operator()(pid_t pid) const;

 private:
  int folder_ = -1;  // the caller's, who outlives this
};
[[nodiscard]] std::uint64_t ticks_since_boot();

}  // namespace mooring::transparent_proxy
