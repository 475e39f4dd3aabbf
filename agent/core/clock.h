// Time as a dependency: the real clocks, or a FakeClock of tests/support.
#pragma once

#include <chrono>

namespace mooring {

using Milliseconds = std::chrono::milliseconds;
using WallTime = std::chrono::system_clock::time_point;
using MonoTime = std::chrono::steady_clock::time_point;

class Clock {
 public:
  virtual ~Clock() = default;
  [[nodiscard]] virtual WallTime wall() const { return std::chrono::system_clock::now(); }
  [[nodiscard]] virtual MonoTime mono() const { return std::chrono::steady_clock::now(); }
};

}  // namespace mooring
