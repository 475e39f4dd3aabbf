// The agent's own log: structured key=value lines. Any thread. Never blocks: a bounded queue feeds
// one writer thread; when the reader of our output stops, lines are dropped and counted, the data
// path goes on.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include <fmt/format.h>

#include "core/result.h"

namespace mooring::log {

enum class Level : std::uint8_t { debug, info, warn, error, off };

[[nodiscard]] Result<Level> parse_level(std::string_view text) noexcept;
[[nodiscard]] const char* to_string(Level level) noexcept;

/// Starts the writer. `file` empty: standard error. Before start() and after stop() lines go to
/// standard error directly. Call once, before other threads exist.
[[nodiscard]] Result<void> start(const std::string& file, Level level);
/// Writes what is queued, for at most a second, and ends the writer.
void stop() noexcept;

/// After logrotate renamed the file: the next line goes into a new one. Where that cannot be opened
/// the old one stays in use.
void reopen() noexcept;

void set_level(Level level) noexcept;
[[nodiscard]] Level level() noexcept;
/// Lines lost because the queue was full.
[[nodiscard]] std::uint64_t dropped() noexcept;

namespace detail {
void write(Level level, std::string_view text);
}

/// One line: level, message, then key=value pairs as the caller formatted them. Peer text goes
/// through escape_peer_text first. No secrets, no payload.
template <class... Args>
void debug(fmt::format_string<Args...> format, Args&&... args) {
  if (level() <= Level::debug)
    detail::write(Level::debug, fmt::format(format, std::forward<Args>(args)...));
}
template <class... Args>
void info(fmt::format_string<Args...> format, Args&&... args) {
  if (level() <= Level::info)
    detail::write(Level::info, fmt::format(format, std::forward<Args>(args)...));
}
template <class... Args>
void warn(fmt::format_string<Args...> format, Args&&... args) {
  if (level() <= Level::warn)
    detail::write(Level::warn, fmt::format(format, std::forward<Args>(args)...));
}
template <class... Args>
void error(fmt::format_string<Args...> format, Args&&... args) {
  if (level() <= Level::error)
    detail::write(Level::error, fmt::format(format, std::forward<Args>(args)...));
}

/// One per call site, `static` and local to its thread's object: at most `burst` lines a second.
class RateLimit {
 public:
  explicit RateLimit(unsigned burst = 5) noexcept : burst_(burst) {}
  /// True if the line may be written. `now_ms` is any monotonic clock in milliseconds.
  bool admit(std::uint64_t now_ms) noexcept {
    if (now_ms - window_ms_ >= 1000) {
      window_ms_ = now_ms;
      used_ = 0;
    }
    return used_++ < burst_;
  }

 private:
  unsigned burst_;
  unsigned used_ = 0;
  std::uint64_t window_ms_ = 0;
};

}  // namespace mooring::log
