// Which of a chain's clusters a connection goes to. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "snapshot/resources.h"

namespace mooring::policy {

/// By weight; `random` is any number. The weights add up to at least 1, as build() sees to.
[[nodiscard]] std::size_t choose_cluster(std::span<const snapshot::WeightedCluster> clusters,
                                         std::uint64_t random) noexcept;

}  // namespace mooring::policy
