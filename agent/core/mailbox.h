// Messages to the thread of one loop, in order. One of two places with a mutex; the other is
// proxy/upstream_state.h.
#pragma once

#include <functional>
#include <mutex>
#include <utility>
#include <vector>

#include "core/loop.h"

namespace mooring {

template <class Message>
class Mailbox {
 public:
  /// `on_message` runs on the loop's thread.
  Mailbox(Loop& loop, std::function<void(Message)> on_message)
      : on_message_(std::move(on_message)), wakeup_(loop, [this] { drain(); }) {}

  /// From any thread, as long as the mailbox lives.
  void post(Message message) {
    {
      const std::lock_guard lock(mutex_);
      queue_.push_back(std::move(message));
    }
    wakeup_.notify();
  }

 private:
  void drain() {
    std::vector<Message> batch;
    {
      const std::lock_guard lock(mutex_);
      batch.swap(queue_);
    }
    for (Message& message : batch)
      on_message_(std::move(message));
  }

  std::mutex mutex_;
  std::vector<Message> queue_;
  std::function<void(Message)> on_message_;
  Wakeup wakeup_;
};

}  // namespace mooring
