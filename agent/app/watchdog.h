// What systemd's watchdog is told: that the control loop turns and every worker's too. Control
// thread.
#pragma once

#include <functional>

#include "app/workers.h"
#include "core/loop.h"

namespace mooring::app {

class Watchdog {
 public:
  /// `tell` sends one WATCHDOG=1. `workers` outlives this object.
  Watchdog(Loop& loop, Workers& workers, std::function<void()> tell);

  /// Within `limit` of the last message systemd ends us: WATCHDOG_USEC.
  void start(Milliseconds limit);

 private:
  void look();

  Workers& workers_;
  std::function<void()> tell_;
  bool was_silent_ = false;
  Timer timer_;
};

}  // namespace mooring::app
