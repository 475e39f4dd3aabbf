// A clock that a test moves.
#pragma once

#include "core/clock.h"

namespace mooring::test {

class FakeClock final : public Clock {
 public:
  explicit FakeClock(WallTime wall = std::chrono::system_clock::now()) : wall_(wall) {}
  [[nodiscard]] WallTime wall() const override { return wall_; }
  [[nodiscard]] MonoTime mono() const override { return mono_; }
  void advance(std::chrono::nanoseconds span) {
    wall_ += span;
    mono_ += span;
  }

 private:
  WallTime wall_;
  MonoTime mono_{std::chrono::hours(1)};
};

}  // namespace mooring::test
