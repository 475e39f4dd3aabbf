#include "policy/outlier.h"

#include <algorithm>
#include <cmath>

namespace mooring::policy {

namespace {

std::uint64_t ms(Milliseconds span) noexcept {
  return static_cast<std::uint64_t>(std::max<Milliseconds::rep>(span.count(), 0));
}

}  // namespace

OutlierDetector::OutlierDetector(const snapshot::OutlierDetection& options, std::uint64_t seed)
    : options_(options), random_(seed) {}

void OutlierDetector::set_hosts(const std::vector<SocketAddress>& hosts) {
  std::unordered_map<SocketAddress, State> kept;
  kept.reserve(hosts.size());
  for (const SocketAddress& host : hosts) {
    const auto known = hosts_.find(host);
    kept.emplace(host, known == hosts_.end() ? State{} : known->second);
  }
  hosts_ = std::move(kept);
  ejected_ = static_cast<std::size_t>(std::count_if(
      hosts_.begin(), hosts_.end(), [](const auto& entry) { return entry.second.is_ejected; }));
}

bool OutlierDetector::is_ejected(const SocketAddress& host) const {
  const auto found = hosts_.find(host);
  return found != hosts_.end() && found->second.is_ejected;
}

void OutlierDetector::succeeded(const SocketAddress& host, std::uint64_t times) {
  const auto found = hosts_.find(host);
  if (found == hosts_.end() || times == 0) return;
  State& state = found->second;
  state.current.total += times;
  state.current.successes += times;
  if (options_.split_external_local_origin_errors) {
    state.consecutive_local_origin_failure = 0;
  } else {
    state.consecutive_5xx = 0;
    state.consecutive_gateway_failure = 0;
  }
}

bool OutlierDetector::failed(const SocketAddress& host, std::uint64_t now_ms) {
  const auto found = hosts_.find(host);
  if (found == hosts_.end()) return false;
  State& state = found->second;
  const bool was_ejected = state.is_ejected;
  ++state.current.total;
  if (options_.split_external_local_origin_errors) {
    count_failure(state,
                  state.consecutive_local_origin_failure,
                  options_.consecutive_local_origin_failure,
                  EjectionCause::consecutive_local_origin_failure,
                  now_ms);
  } else {
    count_failure(state,
                  state.consecutive_gateway_failure,
                  options_.consecutive_gateway_failure,
                  EjectionCause::consecutive_gateway_failure,
                  now_ms);
    count_failure(state,
                  state.consecutive_5xx,
                  options_.consecutive_5xx,
                  EjectionCause::consecutive_5xx,
                  now_ms);
  }
  return state.is_ejected && !was_ejected;
}

// A host that is ejected already keeps its count: it is not detected twice.
void OutlierDetector::count_failure(State& state,
                                    std::uint32_t& counter,
                                    std::uint32_t threshold,
                                    EjectionCause cause,
                                    std::uint64_t now_ms) {
  if (++counter != threshold || state.is_ejected) return;
  detect(state, cause, now_ms);
  counter = 0;
}

std::uint32_t OutlierDetector::enforcing(EjectionCause cause) const noexcept {
  const bool split = options_.split_external_local_origin_errors;
  switch (cause) {
    case EjectionCause::consecutive_5xx:
      return options_.enforcing_consecutive_5xx;
    case EjectionCause::consecutive_gateway_failure:
      return options_.enforcing_consecutive_gateway_failure;
    case EjectionCause::consecutive_local_origin_failure:
      return options_.enforcing_consecutive_local_origin_failure;
    case EjectionCause::success_rate:
      return split ? options_.enforcing_local_origin_success_rate : options_.enforcing_success_rate;
    case EjectionCause::failure_percentage:
      return split ? options_.enforcing_failure_percentage_local_origin
                   : options_.enforcing_failure_percentage;
  }
  return 0;
}

// Nobody is ejected where max_ejection_percent would be passed by it: 10 % of three hosts are none.
void OutlierDetector::detect(State& state, EjectionCause cause, std::uint64_t now_ms) {
  const auto index = static_cast<std::size_t>(cause);
  ++counts_.detected[index];
  const std::size_t most = std::min<std::uint32_t>(options_.max_ejection_percent, 100);
  if ((ejected_ + 1) * 100 > most * hosts_.size()) {
    ++counts_.overflow;
    return;
  }
  if (random_.below(100) >= enforcing(cause)) return;
  ++counts_.enforced[index];
  ++ejected_;
  state.is_ejected = true;
  state.ejected_at_ms = now_ms;
  const std::uint64_t base = ms(options_.base_ejection_time);
  if (state.backoff * base < ms(options_.max_ejection_time) + base) ++state.backoff;
}

bool OutlierDetector::readmit(const SocketAddress& host, std::uint64_t now_ms) {
  const auto found = hosts_.find(host);
  if (found == hosts_.end() || !found->second.is_ejected) return false;
  readmit(found->second, now_ms);
  return true;
}

void OutlierDetector::readmit(State& state, std::uint64_t now_ms) {
  --ejected_;
  state.is_ejected = false;
  state.consecutive_5xx = 0;
  state.consecutive_gateway_failure = 0;
  state.consecutive_local_origin_failure = 0;
  state.readmitted_at_ms = now_ms;
}

bool OutlierDetector::on_interval(std::uint64_t now_ms) {
  const std::size_t before = ejected_;
  bool changed = false;
  for (auto& [address, state] : hosts_) {
    const std::uint64_t span =
        std::min(ms(options_.base_ejection_time) * state.backoff, ms(options_.max_ejection_time));
    if (state.is_ejected && now_ms >= state.ejected_at_ms + span) {
      readmit(state, now_ms);
      changed = true;
    }
    state.last = state.current;
    state.current = {};
  }
  judge_rates(now_ms);
  // The ejections of a host grow shorter again while it stays.
  for (auto& [address, state] : hosts_) {
    if (!state.is_ejected && state.readmitted_at_ms && state.backoff > 0 &&
        now_ms - *state.readmitted_at_ms >= ms(options_.interval))
      --state.backoff;
  }
  return changed || ejected_ != before;
}

void OutlierDetector::judge_rates(std::uint64_t now_ms) {
  if (hosts_.size() >= options_.success_rate_minimum_hosts) {
    const std::vector<Rate> judged = rates(options_.success_rate_request_volume);
    if (judged.size() >= options_.success_rate_minimum_hosts) eject_below_others(judged, now_ms);
  }
  if (hosts_.size() >= options_.failure_percentage_minimum_hosts) {
    const std::vector<Rate> judged = rates(options_.failure_percentage_request_volume);
    if (judged.size() >= options_.failure_percentage_minimum_hosts)
      eject_by_failures(judged, now_ms);
  }
}

std::vector<OutlierDetector::Rate> OutlierDetector::rates(std::uint32_t volume) {
  std::vector<Rate> found;
  for (auto& [address, state] : hosts_) {
    const Bucket& last = state.last;
    if (state.is_ejected || last.total == 0 || last.total < volume) continue;
    found.push_back(
        {&state, static_cast<double>(last.successes) * 100.0 / static_cast<double>(last.total)});
  }
  return found;
}

void OutlierDetector::eject_below_others(const std::vector<Rate>& rates, std::uint64_t now_ms) {
  if (rates.empty()) return;
  const auto hosts = static_cast<double>(rates.size());
  double mean = 0;
  for (const Rate& rate : rates)
    mean += rate.success / hosts;
  double variance = 0;
  for (const Rate& rate : rates)
    variance += (rate.success - mean) * (rate.success - mean) / hosts;
  const double factor = options_.success_rate_stdev_factor / 1000.0;
  const double threshold = mean - factor * std::sqrt(variance);
  for (const Rate& rate : rates) {
    if (rate.success < threshold) detect(*rate.state, EjectionCause::success_rate, now_ms);
  }
}

void OutlierDetector::eject_by_failures(const std::vector<Rate>& rates, std::uint64_t now_ms) {
  for (const Rate& rate : rates) {
    if (100.0 - rate.success >= options_.failure_percentage_threshold)
      detect(*rate.state, EjectionCause::failure_percentage, now_ms);
  }
}

}  // namespace mooring::policy
