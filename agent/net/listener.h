// Accepts connections from one listening socket on its loop: at most 16 a turn, and it rests when
// descriptors run out or its owner says so, instead of closing what it cannot serve.
#pragma once

#include <functional>

#include "core/fd.h"
#include "core/loop.h"

namespace mooring::net {

class Listener {
 public:
  /// `on_accept` gets a non-blocking socket. `on_pause` is told when descriptors ran out and
  /// accepting rests for 100 ms; clients wait in the kernel's queue meanwhile.
  Listener(Loop& loop,
           UniqueFd fd,
           std::function<void(UniqueFd)> on_accept,
           std::function<void()> on_pause);

  /// No more is accepted, also in this turn, until resume(); clients wait in the kernel's queue.
  void rest();
  void resume();

  /// Accepts what waits in the queue already, before the socket is closed: closing resets it.
  void accept_waiting();

 private:
  static constexpr int kAcceptsPerTurn = 16;
  bool accept_one();

  bool is_resting_ = false;
  UniqueFd fd_;
  std::function<void(UniqueFd)> on_accept_;
  std::function<void()> on_pause_;
  PollWatch watch_;
  Timer resume_;
};

}  // namespace mooring::net
