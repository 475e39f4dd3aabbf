// A bounded queue between threads without a lock: many writers, many readers, neither ever waits.
// The algorithm is Dmitry Vyukov's bounded MPMC queue: each cell carries a sequence number that
// says whose turn it is.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>

#include "core/result.h"

namespace mooring::observe {

template <class T>
class Ring {
 public:
  /// `capacity` is a power of two.
  explicit Ring(std::size_t capacity)
      : mask_(capacity - 1), cells_(std::make_unique<Cell[]>(capacity)) {
    AGENT_CHECK(capacity >= 2 && (capacity & mask_) == 0);
    for (std::size_t i = 0; i < capacity; ++i)
      cells_[i].turn.store(i, std::memory_order_relaxed);
  }

  /// False when full; `value` is then as it was. Any thread.
  bool push(T& value) noexcept {
    std::size_t at = head_.load(std::memory_order_relaxed);
    for (;;) {
      Cell& cell = cells_[at & mask_];
      const auto ahead =
          static_cast<std::ptrdiff_t>(cell.turn.load(std::memory_order_acquire) - at);
      if (ahead < 0) return false;  // still holds the value of a lap ago
      if (ahead > 0) {
        at = head_.load(std::memory_order_relaxed);  // another writer was faster
      } else if (head_.compare_exchange_weak(at, at + 1, std::memory_order_relaxed)) {
        cell.value = std::move(value);
        cell.turn.store(at + 1, std::memory_order_release);
        return true;
      }
    }
  }

  /// How many values wait; already old when it is read. Any thread.
  [[nodiscard]] std::size_t size() const noexcept {
    const std::size_t taken = tail_.load(std::memory_order_relaxed);
    const std::size_t put = head_.load(std::memory_order_relaxed);
    return put > taken ? put - taken : 0;
  }

  /// Empty when there is nothing. Any thread.
  std::optional<T> pop() noexcept {
    std::size_t at = tail_.load(std::memory_order_relaxed);
    for (;;) {
      Cell& cell = cells_[at & mask_];
      const auto ahead =
          static_cast<std::ptrdiff_t>(cell.turn.load(std::memory_order_acquire) - (at + 1));
      if (ahead < 0) return std::nullopt;
      if (ahead > 0) {
        at = tail_.load(std::memory_order_relaxed);
      } else if (tail_.compare_exchange_weak(at, at + 1, std::memory_order_relaxed)) {
        std::optional<T> value(std::move(cell.value));
        cell.turn.store(at + mask_ + 1, std::memory_order_release);
        return value;
      }
    }
  }

 private:
  struct Cell {
    std::atomic<std::size_t> turn{0};
    T value{};
  };
  // Writers and readers do not share a cache line.
  alignas(64) std::atomic<std::size_t> head_{0};
  alignas(64) std::atomic<std::size_t> tail_{0};
  alignas(64) std::size_t mask_;
  std::unique_ptr<Cell[]> cells_;
};

}  // namespace mooring::observe
