#include "snapshot/limits.h"

#include <algorithm>

namespace mooring::snapshot {

namespace {

// Of the sums below: a token that is a rounding error away is there.
constexpr double kRounding = 1e-6;

}  // namespace

RateLimit::RateLimit(const TokenBucket& bucket) noexcept
    : token_ms_(static_cast<double>(bucket.fill_interval.count()) /
                static_cast<double>(bucket.tokens_per_fill)),
      bucket_ms_(static_cast<double>(bucket.max_tokens) * token_ms_),
      empty_at_ms_(-bucket_ms_) {}

bool RateLimit::take(std::uint64_t now_ms) noexcept {
  const auto now = static_cast<double>(now_ms);
  double before = empty_at_ms_.load(std::memory_order_relaxed);
  for (;;) {
    const double after = std::max(before, now - bucket_ms_) + token_ms_;
    if (after > now + token_ms_ * kRounding + kRounding) return false;
    if (empty_at_ms_.compare_exchange_weak(before, after, std::memory_order_relaxed)) return true;
  }
}

}  // namespace mooring::snapshot
