#include "proxy/deadlines.h"

namespace mooring::proxy {

Deadlines::Deadlines(Loop& loop, std::function<void(std::uint64_t)> on_due)
    : loop_(loop), on_due_(std::move(on_due)), timer_(loop, [this] { fire(); }) {}

void Deadlines::add(std::uint64_t due_ms, std::uint64_t id) {
  queue_.emplace(due_ms, id);
  if (armed_for_ms_ == 0 || due_ms < armed_for_ms_) arm();
}

void Deadlines::arm() {
  if (queue_.empty()) {
    armed_for_ms_ = 0;
    return timer_.stop();
  }
  armed_for_ms_ = queue_.top().first;
  const std::uint64_t now = loop_.now_ms();
  timer_.start(Milliseconds(armed_for_ms_ > now ? armed_for_ms_ - now : 0));
}

void Deadlines::fire() {
  while (!queue_.empty() && queue_.top().first <= loop_.now_ms()) {
    const std::uint64_t id = queue_.top().second;
    queue_.pop();
    on_due_(id);
  }
  arm();
}

}  // namespace mooring::proxy
