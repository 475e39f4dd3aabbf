#include "app/watchdog.h"

#include <fmt/ranges.h>

#include <utility>

#include "core/log.h"

namespace mooring::app {

Watchdog::Watchdog(Loop& loop, Workers& workers, std::function<void()> tell)
    : workers_(workers), tell_(std::move(tell)), timer_(loop, [this] { look(); }) {}

void Watchdog::start(Milliseconds limit) {
  workers_.ping();
  // A worker has a quarter of the limit to answer; an answer that comes later is seen by the next
  // look, so that only a stall longer than half of it ends us.
  timer_.start(limit / 4, limit / 4);
}

void Watchdog::look() {
  const std::vector<std::size_t> silent = workers_.silent();
  if (silent.empty()) {
    tell_();
  } else if (!was_silent_) {
    log::error("workers do not answer, systemd's watchdog is not told workers={}",
               fmt::join(silent, ","));
  }
  was_silent_ = !silent.empty();
  workers_.ping();
}

}  // namespace mooring::app
