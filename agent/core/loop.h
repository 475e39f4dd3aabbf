// libuv's loop, timers and wake-ups as owned C++ objects. Every object here belongs to the thread
// that runs its loop, but for Wakeup::notify(), which any thread may call.
#pragma once

#include <uv.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>

#include "core/clock.h"
#include "core/result.h"

namespace mooring {

/// Closes a libuv handle; the loop frees its memory when libuv has let go of it. Adopt a handle
/// only after its uv_*_init succeeded.
struct UvClose {
  template <class Handle>
  void operator()(Handle* handle) const noexcept {
    handle->data = nullptr;  // a late callback finds no owner
    uv_close(reinterpret_cast<uv_handle_t*>(handle),
             [](uv_handle_t* dead) noexcept { delete reinterpret_cast<Handle*>(dead); });
  }
};
template <class Handle>
using UvPtr = std::unique_ptr<Handle, UvClose>;

/// Maps a libuv result (negative errno) to an Error.
[[nodiscard]] Error error_from_uv(int result, const char* place) noexcept;

class Loop {
 public:
  Loop();
  /// All handles of the loop must have been closed by their owners; runs it until it is empty.
  ~Loop();
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  /// Runs until stop() or until no handle is active.
  void run();
  /// From the loop's own thread.
  void stop() noexcept { uv_stop(&loop_); }
  /// Milliseconds of the loop's cached monotonic clock; constant within one turn.
  [[nodiscard]] std::uint64_t now_ms() const noexcept { return uv_now(&loop_); }
  [[nodiscard]] uv_loop_t* uv() noexcept { return &loop_; }

 private:
  uv_loop_t loop_{};
};

/// One-shot or repeating timer. Destruction cancels it.
class Timer {
 public:
  Timer(Loop& loop, std::function<void()> on_fire);
  void start(Milliseconds after, Milliseconds repeat = Milliseconds{0});
  void stop() noexcept;

 private:
  std::function<void()> on_fire_;
  UvPtr<uv_timer_t> handle_;
};

/// Calls back on the loop's thread after notify() from any thread; several calls may become one.
class Wakeup {
 public:
  Wakeup(Loop& loop, std::function<void()> on_wake);
  void notify() noexcept { uv_async_send(handle_.get()); }
  /// An unreferenced wake-up does not keep its loop running.
  void unref() noexcept { uv_unref(reinterpret_cast<uv_handle_t*>(handle_.get())); }

 private:
  std::function<void()> on_wake_;
  UvPtr<uv_async_t> handle_;
};

/// Watches a descriptor that somebody else owns and closes only after this object is gone.
class PollWatch {
 public:
  enum Events : int { readable = UV_READABLE, writable = UV_WRITABLE };
  /// `on_event(events, error)`: error is 0 or a negative errno.
  PollWatch(Loop& loop, int fd, std::function<void(int events, int error)> on_event);
  void start(int events);
  void stop() noexcept;

 private:
  std::function<void(int, int)> on_event_;
  UvPtr<uv_poll_t> handle_;
};

/// A signal, on the loop's thread.
class SignalWatch {
 public:
  SignalWatch(Loop& loop, int signal_number, std::function<void()> on_signal);

 private:
  std::function<void()> on_signal_;
  UvPtr<uv_signal_t> handle_;
};

}  // namespace mooring
