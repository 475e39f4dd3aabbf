// Deadlines of many connections on one timer. An entry that was moved or cancelled is noticed when
// it comes up.
#pragma once

#include <cstdint>
#include <functional>
#include <queue>
#include <utility>
#include <vector>

#include "core/loop.h"

namespace mooring::proxy {

class Deadlines {
 public:
  /// `on_due(id)` decides by itself whether the deadline still holds.
  Deadlines(Loop& loop, std::function<void(std::uint64_t id)> on_due);
  void add(std::uint64_t due_ms, std::uint64_t id);

 private:
  using Entry = std::pair<std::uint64_t, std::uint64_t>;  // due, id
  void fire();
  void arm();

  Loop& loop_;
  std::function<void(std::uint64_t)> on_due_;
  std::priority_queue<Entry, std::vector<Entry>, std::greater<>> queue_;
  std::uint64_t armed_for_ms_ = 0;  // 0: not armed
  Timer timer_;
};

}  // namespace mooring::proxy
