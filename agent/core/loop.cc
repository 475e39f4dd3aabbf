#include "core/loop.h"

namespace mooring {

namespace {

// libuv fails these calls only for arguments that we control, or when memory or descriptors are out
// at start.
void must(int result) {
  AGENT_CHECK(result == 0);
}

std::uint64_t to_ms(Milliseconds span) {
  return span.count() < 0 ? 0 : static_cast<std::uint64_t>(span.count());
}

}  // namespace

Error error_from_uv(int result, const char* place) noexcept {
  return error_from_errno(-result, place);
}

Loop::Loop() {
  must(uv_loop_init(&loop_));
}

Loop::~Loop() {
  uv_run(&loop_, UV_RUN_DEFAULT);
  must(uv_loop_close(&loop_));
}

void Loop::run() {
  uv_run(&loop_, UV_RUN_DEFAULT);
}

Timer::Timer(Loop& loop, std::function<void()> on_fire) : on_fire_(std::move(on_fire)) {
  auto handle = std::make_unique<uv_timer_t>();
  must(uv_timer_init(loop.uv(), handle.get()));
  handle_.reset(handle.release());
  handle_->data = this;
}

void Timer::start(Milliseconds after, Milliseconds repeat) {
  must(uv_timer_start(
      handle_.get(),
      [](uv_timer_t* handle) noexcept {
        if (auto* self = static_cast<Timer*>(handle->data)) self->on_fire_();
      },
      to_ms(after),
      to_ms(repeat)));
}

void Timer::stop() noexcept {
  uv_timer_stop(handle_.get());
}

Wakeup::Wakeup(Loop& loop, std::function<void()> on_wake) : on_wake_(std::move(on_wake)) {
  auto handle = std::make_unique<uv_async_t>();
  must(uv_async_init(loop.uv(), handle.get(), [](uv_async_t* async) noexcept {
    if (auto* self = static_cast<Wakeup*>(async->data)) self->on_wake_();
  }));
  handle_.reset(handle.release());
  handle_->data = this;
}

PollWatch::PollWatch(Loop& loop, int fd, std::function<void(int, int)> on_event)
    : on_event_(std::move(on_event)) {
  auto handle = std::make_unique<uv_poll_t>();
  must(uv_poll_init(loop.uv(), handle.get(), fd));
  handle_.reset(handle.release());
  handle_->data = this;
}

void PollWatch::start(int events) {
  must(uv_poll_start(handle_.get(), events, [](uv_poll_t* handle, int status, int ready) noexcept {
    if (auto* self = static_cast<PollWatch*>(handle->data)) self->on_event_(ready, status);
  }));
}

void PollWatch::stop() noexcept {
  uv_poll_stop(handle_.get());
}

SignalWatch::SignalWatch(Loop& loop, int signal_number, std::function<void()> on_signal)
    : on_signal_(std::move(on_signal)) {
  auto handle = std::make_unique<uv_signal_t>();
  must(uv_signal_init(loop.uv(), handle.get()));
  handle_.reset(handle.release());
  handle_->data = this;
  must(uv_signal_start(
      handle_.get(),
      [](uv_signal_t* signal, int) noexcept {
        if (auto* self = static_cast<SignalWatch*>(signal->data)) self->on_signal_();
      },
      signal_number));
}

}  // namespace mooring
