// Consistent hashing of endpoints: Envoy's ring (ketama) and its Maglev table. Both are made from
// the same list of keys and weights, and give a position in that list.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace mooring::policy {

/// An endpoint to be hashed: "10.0.0.1:80", and its share; the shares of a list add up to one.
struct HashedEndpoint {
  std::string key;
  double share = 0;
};

class HashRing {
 public:
  struct Options {
    std::uint64_t minimum_size = 1024;
    std::uint64_t maximum_size = 8388608;
    bool murmur = false;  // else xxHash
  };
  /// As many points for each endpoint as its share is of the ring; the ring is as large as gives
  /// the least of them a whole number of points (envoy.extensions.load_balancing_policies.
  /// ring_hash.v3). O(n log n) for n points.
  HashRing(const std::vector<HashedEndpoint>& endpoints, const Options& options);

  [[nodiscard]] bool is_empty() const noexcept { return points_.empty(); }
  [[nodiscard]] std::size_t size() const noexcept { return points_.size(); }
  /// The endpoint of the first point at or after `hash`; for a further attempt as many points
  /// later, which may be the same endpoint. O(log n). Not for an empty ring.
  [[nodiscard]] std::size_t pick(std::uint64_t hash, std::uint32_t attempt) const noexcept;

 private:
  struct Point {
    std::uint64_t hash = 0;
    std::uint32_t endpoint = 0;

    friend auto operator<=>(const Point&, const Point&) = default;
  };
  std::vector<Point> points_;
};

class MaglevTable {
 public:
  /// Prime and at most 5000011 (envoy.extensions.load_balancing_policies.maglev.v3).
  [[nodiscard]] static bool is_size(std::uint64_t size) noexcept;

  /// O(size log n); is_size(size) must hold.
  MaglevTable(const std::vector<HashedEndpoint>& endpoints, std::uint64_t size);

  [[nodiscard]] bool is_empty() const noexcept { return table_.empty(); }
  /// O(1). Not for an empty table.
  [[nodiscard]] std::size_t pick(std::uint64_t hash, std::uint32_t attempt) const noexcept;

 private:
  std::vector<std::uint32_t> table_;
};

}  // namespace mooring::policy
