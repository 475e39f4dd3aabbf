#include "policy/health_check.h"

#include <algorithm>

namespace mooring::policy {

Milliseconds HealthCheckState::jittered(Milliseconds base,
                                        Milliseconds jitter,
                                        Random& random) const noexcept {
  const auto below = [&](std::int64_t bound) {
    if (bound <= 0) return std::int64_t{0};
    return static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(bound)));
  };
  std::int64_t wait = base.count();
  wait += below(options_.interval_jitter_percent * base.count() / 100);
  wait += below(jitter.count());
  return Milliseconds(std::max<std::int64_t>(wait, 1));
}

Milliseconds HealthCheckState::first_wait(Random& random) const noexcept {
  if (options_.initial_jitter.count() <= 0) return Milliseconds(0);
  return jittered(Milliseconds(0), options_.initial_jitter, random);
}

HealthCheckState::Outcome HealthCheckState::succeeded(bool had_traffic, Random& random) noexcept {
  failures_ = 0;
  const bool is_healthy = is_healthy_ || is_pending_ || ++successes_ >= options_.healthy_threshold;
  return settle(is_healthy, had_traffic, random);
}

HealthCheckState::Outcome HealthCheckState::failed(bool had_traffic, Random& random) noexcept {
  successes_ = 0;
  const bool is_healthy = is_healthy_ && ++failures_ < options_.unhealthy_threshold;
  return settle(is_healthy, had_traffic, random);
}

HealthCheckState::Outcome HealthCheckState::settle(bool is_healthy,
                                                   bool had_traffic,
                                                   Random& random) noexcept {
  Outcome outcome;
  outcome.changed = is_pending_ || is_healthy != is_healthy_;
  if (is_healthy != is_healthy_) successes_ = failures_ = 0;
  is_pending_ = false;
  is_healthy_ = is_healthy;
  outcome.wait = jittered(had_traffic ? options_.interval : options_.no_traffic_interval,
                          options_.interval_jitter,
                          random);
  return outcome;
}

bool receives(std::string_view received, const std::vector<std::string>& expected) {
  for (const std::string& part : expected) {
    const std::size_t at = received.find(part);
    if (at == std::string_view::npos) return false;
    received.remove_prefix(at + part.size());
  }
  return true;
}

}  // namespace mooring::policy
