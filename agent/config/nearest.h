// "did you mean": the closest of a few known words.
#pragma once

#include <span>
#include <string_view>

namespace mooring::config {

/// Edits (insert, delete, replace, swap of neighbours) from one word to the other.
[[nodiscard]] std::size_t edit_distance(std::string_view from, std::string_view to);

/// The closest word, or empty when none is near: at most a third of the word's length away, and at
/// least one edit is always allowed.
[[nodiscard]] std::string_view nearest(std::string_view word,
                                       std::span<const std::string_view> known);

}  // namespace mooring::config
