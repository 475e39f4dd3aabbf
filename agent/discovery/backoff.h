// How long to wait before the next attempt.
#pragma once

#include <algorithm>
#include <cstdint>
#include <random>

#include "core/clock.h"

namespace mooring::discovery {

/// Between half and all of what doubles with every attempt, up to a cap: never none, and not the
/// same for all hosts that lost the same server.
class Backoff {
 public:
  [[nodiscard]] Milliseconds next(Milliseconds base, Milliseconds cap) {
    const auto full = std::min(cap.count(), base.count() << std::min(attempts_++, kMaxDoublings));
    return between(Milliseconds(full / 2), Milliseconds(full));
  }
  [[nodiscard]] Milliseconds between(Milliseconds least, Milliseconds most) {
    std::uniform_int_distribution<std::int64_t> spread(least.count(), most.count());
    return Milliseconds(spread(random_));
  }
  /// An attempt has succeeded.
  void reset() noexcept { attempts_ = 0; }

 private:
  static constexpr unsigned kMaxDoublings = 16;

  std::minstd_rand random_{std::random_device{}()};
  unsigned attempts_ = 0;  // in a row, without success
};

}  // namespace mooring::discovery
