#include "policy/hash.h"

#include <array>
#include <bit>
#include <cstddef>

namespace mooring::policy {

namespace {

constexpr std::uint64_t kPrime1 = 0x9e3779b185ebca87;
constexpr std::uint64_t kPrime2 = 0xc2b2ae3d27d4eb4f;
constexpr std::uint64_t kPrime3 = 0x165667b19e3779f9;
constexpr std::uint64_t kPrime4 = 0x85ebca77c2b2ae63;
constexpr std::uint64_t kPrime5 = 0x27d4eb2f165667c5;

// Little endian, which all that we build for is.
template <class Word>
std::uint64_t take(std::string_view& text) noexcept {
  static_assert(std::endian::native == std::endian::little);
  Word word{};
  text.copy(reinterpret_cast<char*>(&word), sizeof(word));
  text.remove_prefix(sizeof(word));
  return word;
}

std::uint64_t round_of(std::uint64_t lane, std::uint64_t word) noexcept {
  return std::rotl(lane + word * kPrime2, 31) * kPrime1;
}

std::uint64_t consume_stripes(std::string_view& text, std::uint64_t seed) noexcept {
  std::array<std::uint64_t, 4> lanes{
      seed + kPrime1 + kPrime2, seed + kPrime2, seed, seed - kPrime1};
  while (text.size() >= 32) {
    for (std::uint64_t& lane : lanes)
      lane = round_of(lane, take<std::uint64_t>(text));
  }
  std::uint64_t hash = std::rotl(lanes[0], 1) + std::rotl(lanes[1], 7) + std::rotl(lanes[2], 12) +
                       std::rotl(lanes[3], 18);
  for (const std::uint64_t lane : lanes)
    hash = (hash ^ round_of(0, lane)) * kPrime1 + kPrime4;
  return hash;
}

}  // namespace

std::uint64_t xx_hash64(std::string_view text, std::uint64_t seed) noexcept {
  const std::uint64_t size = text.size();
  std::uint64_t hash = size >= 32 ? consume_stripes(text, seed) : seed + kPrime5;
  hash += size;
  while (text.size() >= 8)
    hash = std::rotl(hash ^ round_of(0, take<std::uint64_t>(text)), 27) * kPrime1 + kPrime4;
  if (text.size() >= 4)
    hash = std::rotl(hash ^ (take<std::uint32_t>(text) * kPrime1), 23) * kPrime2 + kPrime3;
  while (!text.empty())
    hash = std::rotl(hash ^ (take<std::uint8_t>(text) * kPrime5), 11) * kPrime1;
  hash = (hash ^ (hash >> 33U)) * kPrime2;
  hash = (hash ^ (hash >> 29U)) * kPrime3;
  return hash ^ (hash >> 32U);
}

std::uint64_t murmur_hash2(std::string_view text, std::uint64_t seed) noexcept {
  constexpr std::uint64_t kMultiply = 0xc6a4a7935bd1e995;
  const auto mix = [](std::uint64_t word) noexcept { return word ^ (word >> 47U); };
  std::uint64_t hash = seed ^ (text.size() * kMultiply);
  while (text.size() >= 8)
    hash = (hash ^ (mix(take<std::uint64_t>(text) * kMultiply) * kMultiply)) * kMultiply;
  if (!text.empty()) {
    std::uint64_t rest = 0;
    text.copy(reinterpret_cast<char*>(&rest), sizeof(rest));
    hash = (hash ^ rest) * kMultiply;
  }
  return mix(mix(hash) * kMultiply);
}

}  // namespace mooring::policy
