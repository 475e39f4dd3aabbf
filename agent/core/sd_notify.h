// sd_notify(3) without libsystemd: readiness, status and watchdog for a Type=notify unit. Any
// thread; never blocks.
#pragma once

#include <string_view>

#include "core/clock.h"

namespace mooring {

/// Sends e.g. "READY=1\nSTATUS=serving" to the socket that NOTIFY_SOCKET names. Without one it does
/// nothing.
void sd_notify(std::string_view state) noexcept;

/// How often WATCHDOG=1 must be sent at least: WATCHDOG_USEC (for this process), 0 if the unit asks
/// for none. Send it at half of that.
[[nodiscard]] Milliseconds sd_watchdog_interval() noexcept;

}  // namespace mooring
