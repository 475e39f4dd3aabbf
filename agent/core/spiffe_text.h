// The grammar of SPIFFE identifiers as text (SPIFFE-ID specification, section 2). Pure; any thread.
#pragma once

#include <cstddef>
#include <string_view>

namespace mooring {

inline constexpr std::string_view kSpiffeScheme = "spiffe://";
inline constexpr std::size_t kMaxSpiffeIdBytes = 2048;
inline constexpr std::size_t kMaxTrustDomainBytes = 255;

/// Lower-case [a-z0-9.-_], 1..255 bytes.
[[nodiscard]] bool is_trust_domain_text(std::string_view text) noexcept;

/// "spiffe://trust-domain" with an optional path of non-empty segments of [A-Za-z0-9.-_] other than
/// "." and ".."; no trailing slash, at most 2048 bytes in all.
[[nodiscard]] bool is_spiffe_id(std::string_view text) noexcept;

/// The trust domain of a text that is_spiffe_id() accepts, or of a prefix of one that ends with a
/// slash.
[[nodiscard]] std::string_view spiffe_trust_domain(std::string_view text) noexcept;

}  // namespace mooring
