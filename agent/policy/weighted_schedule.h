// Earliest deadline first: weighted round robin that spreads each one's turns evenly, O(log n) a
// pick. An entry of weight w comes w times as often as one of weight 1.
#pragma once

#include <algorithm>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

namespace mooring::policy {

class WeightedSchedule {
 public:
  WeightedSchedule() = default;

  /// Entries are the positions of `weights`; those that are not above zero never come. `seed`
  /// decides where the round begins.
  WeightedSchedule(const std::vector<double>& weights, std::uint64_t seed) {
    entries_.reserve(weights.size());
    for (std::size_t i = 0; i < weights.size(); ++i) {
      if (!(weights[i] > 0)) continue;
      seed = seed * 6364136223846793005U + 1442695040888963407U;
      const double phase = static_cast<double>(seed >> 11U) * 0x1p-53;  // 0 to 1
      entries_.push_back({phase / weights[i], next_order_++, i});
    }
    std::make_heap(entries_.begin(), entries_.end(), std::greater<>());
  }

  [[nodiscard]] bool is_empty() const noexcept { return entries_.empty(); }

  /// The next in turn, and when it comes again by `weight_of(position)`, its weight as of now.
  /// Not for an empty schedule.
  template <class WeightOf>
  [[nodiscard]] std::size_t pick(const WeightOf& weight_of) {
    std::pop_heap(entries_.begin(), entries_.end(), std::greater<>());
    Entry& entry = entries_.back();
    const std::size_t picked = entry.position;
    const double weight = weight_of(picked);
    entry.deadline += 1.0 / (weight > kLeastWeight ? weight : kLeastWeight);
    entry.order = next_order_++;
    std::push_heap(entries_.begin(), entries_.end(), std::greater<>());
    return picked;
  }

 private:
  static constexpr double kLeastWeight = 1e-12;

  struct Entry {
    double deadline = 0;
    std::uint64_t order = 0;  // among equal deadlines: who has waited longest
    std::size_t position = 0;

    friend auto operator<=>(const Entry&, const Entry&) = default;
  };
  std::vector<Entry> entries_;
  std::uint64_t next_order_ = 0;
};

}  // namespace mooring::policy
