// Outlier detection: which endpoints of a cluster are ejected because connections to them fail, by
// the rules of envoy.config.cluster.v3.OutlierDetection. One per cluster of the process; who owns
// it feeds it results and calls on_interval() each interval.
//
// A connection that was made counts as Envoy's TCP proxy counts it, like an answer of 200. One that
// was not made, or not in time, counts as a 503 or 504: a 5xx and a gateway failure; with
// split_external_local_origin_errors both count among the errors of local origin instead.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <unordered_map>
#include <vector>

#include "core/address.h"
#include "policy/random.h"
#include "snapshot/resources.h"

namespace mooring::policy {

enum class EjectionCause : std::uint8_t {
  consecutive_5xx,
  consecutive_gateway_failure,
  consecutive_local_origin_failure,
  success_rate,        // of local origin where these are split
  failure_percentage,  // likewise
};
inline constexpr std::size_t kEjectionCauses = 5;

class OutlierDetector {
 public:
  struct Counts {
    std::array<std::uint64_t, kEjectionCauses> detected{};
    std::array<std::uint64_t, kEjectionCauses> enforced{};
    std::uint64_t overflow = 0;  // not ejected because max_ejection_percent are
  };

  OutlierDetector(const snapshot::OutlierDetection& options, std::uint64_t seed);

  [[nodiscard]] const snapshot::OutlierDetection& options() const noexcept { return options_; }

  /// Hosts that stay keep their state; those that go are forgotten, also as ejected ones.
  void set_hosts(const std::vector<SocketAddress>& hosts);
  /// What is said of an unknown host is not heard.
  void succeeded(const SocketAddress& host, std::uint64_t times = 1);
  /// True: this failure ejected it.
  bool failed(const SocketAddress& host, std::uint64_t now_ms);
  /// A health check succeeded: an ejection ends. True: it was ejected.
  bool readmit(const SocketAddress& host, std::uint64_t now_ms);
  /// Ends ejections that have lasted, and ejects by success rate. True: something changed.
  bool on_interval(std::uint64_t now_ms);

  [[nodiscard]] bool is_ejected(const SocketAddress& host) const;
  [[nodiscard]] std::size_t ejected() const noexcept { return ejected_; }
  [[nodiscard]] const Counts& counts() const noexcept { return counts_; }

 private:
  struct Bucket {
    std::uint64_t total = 0;
    std::uint64_t successes = 0;
  };
  struct State {
    std::uint32_t consecutive_5xx = 0;
    std::uint32_t consecutive_gateway_failure = 0;
    std::uint32_t consecutive_local_origin_failure = 0;
    Bucket current;
    Bucket last;                // interval
    std::uint32_t backoff = 0;  // times base_ejection_time
    bool is_ejected = false;
    std::uint64_t ejected_at_ms = 0;
    std::optional<std::uint64_t> readmitted_at_ms;
  };
  struct Rate {
    State* state = nullptr;
    double success = 0;  // percent
  };

  [[nodiscard]] std::uint32_t enforcing(EjectionCause cause) const noexcept;
  void detect(State& state, EjectionCause cause, std::uint64_t now_ms);
  void count_failure(State& state,
                     std::uint32_t& counter,
                     std::uint32_t threshold,
                     EjectionCause cause,
                     std::uint64_t now_ms);
  void readmit(State& state, std::uint64_t now_ms);
  void judge_rates(std::uint64_t now_ms);
  [[nodiscard]] std::vector<Rate> rates(std::uint32_t volume);
  void eject_below_others(const std::vector<Rate>& rates, std::uint64_t now_ms);
  void eject_by_failures(const std::vector<Rate>& rates, std::uint64_t now_ms);

  const snapshot::OutlierDetection options_;
  std::unordered_map<SocketAddress, State> hosts_;
  std::size_t ejected_ = 0;
  Counts counts_;
  Random random_;
};

}  // namespace mooring::policy
