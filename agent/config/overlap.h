// Which upstreams claim the same destination. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "config/model.h"

namespace mooring::config {

struct Overlap {
  std::size_t first = 0;  // index of the upstream that was written first
  std::size_t second = 0;
  std::string destination;  // of the narrower of the two
  std::uint16_t port = 0;

  friend bool operator==(const Overlap&, const Overlap&) = default;
};

/// At most one per pair of upstreams; n log n in the number of addresses times ports.
[[nodiscard]] std::vector<Overlap> find_overlaps(const std::vector<Upstream>& upstreams);

}  // namespace mooring::config
