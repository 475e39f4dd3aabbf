// The state of one endpoint's active health check: when the next check is due, and what its results
// make of the endpoint. Connects to nobody; who does tells it the results.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "policy/random.h"
#include "snapshot/resources.h"

namespace mooring::policy {

class HealthCheckState {
 public:
  /// `options` outlives this object.
  explicit HealthCheckState(const snapshot::HealthCheck& options) noexcept : options_(options) {}

  /// Nothing is known yet: Envoy does not use such an endpoint, but waits with a whole cluster of
  /// them until each has a result.
  [[nodiscard]] bool is_pending() const noexcept { return is_pending_; }
  [[nodiscard]] bool is_healthy() const noexcept { return is_healthy_; }

  [[nodiscard]] Milliseconds first_wait(Random& random) const noexcept;

  struct Outcome {
    bool changed = false;  // is_healthy() or is_pending() is another than before
    Milliseconds wait{0};  // until the next check; at least 1 ms
  };
  /// The first result counts at once; after that it takes healthy_threshold or unhealthy_threshold
  /// of the same in a row. `had_traffic`: the cluster ever had a connection; until then
  /// no_traffic_interval is waited.
  Outcome succeeded(bool had_traffic, Random& random) noexcept;
  Outcome failed(bool had_traffic, Random& random) noexcept;

 private:
  Outcome settle(bool is_healthy, bool had_traffic, Random& random) noexcept;
  [[nodiscard]] Milliseconds jittered(Milliseconds base,
                                      Milliseconds jitter,
                                      Random& random) const noexcept;

  const snapshot::HealthCheck& options_;
  bool is_pending_ = true;
  bool is_healthy_ = false;
  std::uint32_t successes_ = 0;  // in a row, while unhealthy
  std::uint32_t failures_ = 0;   // in a row, while healthy
};

/// All of `expected` are in `received`, in this order, with anything between them.
[[nodiscard]] bool receives(std::string_view received, const std::vector<std::string>& expected);

}  // namespace mooring::policy
