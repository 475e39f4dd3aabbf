// What all workers count together. Any thread, no lock; outlives the parts that share it.
#pragma once

#include <atomic>
#include <cstdint>

#include "snapshot/resources.h"

namespace mooring::snapshot {

/// A token bucket (envoy.type.v3.TokenBucket) of one chain, for all workers. It begins full and is
/// refilled steadily, as Envoy's, not in steps.
class RateLimit {
 public:
  /// `bucket` takes at least one token and fills at a rate above zero.
  explicit RateLimit(const TokenBucket& bucket) noexcept;

  /// Takes a token if there is one. `now_ms` is on the monotonic clock.
  [[nodiscard]] bool take(std::uint64_t now_ms) noexcept;

 private:
  double token_ms_;   // in which the bucket gets one
  double bucket_ms_;  // in which it gets full
  /// When the bucket was empty, had it only been filled since. All of its state.
  std::atomic<double> empty_at_ms_;
};

/// Connections to the endpoints of one cluster, of all workers.
class ConnectionCount {
 public:
  /// False, and nothing is counted, where there are `limit` already.
  [[nodiscard]] bool enter(std::uint32_t limit) noexcept {
    if (count_.fetch_add(1, std::memory_order_relaxed) < limit) return true;
    leave();
    return false;
  }
  void leave() noexcept { count_.fetch_sub(1, std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> count_{0};
};

}  // namespace mooring::snapshot
