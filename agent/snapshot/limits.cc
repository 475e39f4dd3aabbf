#include "snapshot/limits.h"

#include <algorithm>

namespace mooring::snapshot {

RateLimit::RateLimit(const TokenBucket& bucket) noexcept
    : max_tokens_(bucket.max_tokens),
      tokens_per_ms_(static_cast<double>(bucket.tokens_per_fill) /
                     static_cast<double>(bucket.fill_interval.count())),
      empty_at_ms_(-max_tokens_ / tokens_per_ms_) {}

bool RateLimit::take(std::uint64_t now_ms) noexcept {
  const auto now = static_cast<double>(now_ms);
  double before = empty_at_ms_.load(std::memory_order_relaxed);
  for (;;) {
    const double tokens = std::min(max_tokens_, (now - before) * tokens_per_ms_);
    if (tokens < 1) return false;
    const double after = now - (tokens - 1) / tokens_per_ms_;
    if (empty_at_ms_.compare_exchange_weak(before, after, std::memory_order_relaxed)) return true;
  }
}

}  // namespace mooring::snapshot
