// A loop that runs for a test until something holds.
#pragma once

#include <functional>

#include "core/loop.h"

namespace mooring::test {

/// Looks every few milliseconds; false if it does not hold within `limit`.
inline bool run_until(Loop& loop,
                      const std::function<bool()>& holds,
                      Milliseconds limit = Milliseconds(20000)) {
  constexpr Milliseconds kLookEvery{2};
  bool is_late = false;
  Timer check(loop, [&] {
    if (holds()) loop.stop();
  });
  Timer deadline(loop, [&] {
    is_late = true;
    loop.stop();
  });
  check.start(Milliseconds(0), kLookEvery);
  deadline.start(limit);
  loop.run();
  return !is_late;
}

}  // namespace mooring::test
