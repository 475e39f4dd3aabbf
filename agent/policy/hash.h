// The two hashes that consistent hashing of endpoints uses, so that a ring or a table made here
// is the one that Envoy makes from the same endpoints. Not for anything that an enemy may choose.
#pragma once

#include <cstdint>
#include <string_view>

namespace mooring::policy {

/// XXH64 of the xxHash specification.
[[nodiscard]] std::uint64_t xx_hash64(std::string_view text, std::uint64_t seed = 0) noexcept;

/// MurmurHash64A with the seed of libstdc++'s std::hash, which Envoy's MURMUR_HASH_2 follows.
[[nodiscard]] std::uint64_t murmur_hash2(std::string_view text,
                                         std::uint64_t seed = 0xc70f6907) noexcept;

}  // namespace mooring::policy
