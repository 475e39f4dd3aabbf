// SPIFFE identifiers (SPIFFE-ID specification, section 2).
#pragma once

#include <compare>
#include <string>
#include <string_view>

#include "core/result.h"

namespace mooring::identity {

/// "spiffe://trust-domain/path", normalised by being refused otherwise: lower-case trust domain of
/// at most 255 bytes of [a-z0-9.-_], path segments of [A-Za-z0-9.-_], no empty, "." or ".."
/// segment, no trailing slash, at most 2048 bytes in all.
class SpiffeId {
 public:
  [[nodiscard]] static Result<SpiffeId> parse(std::string_view text);

  [[nodiscard]] const std::string& text() const noexcept { return text_; }
  [[nodiscard]] std::string_view trust_domain() const noexcept;
  [[nodiscard]] std::string_view path() const noexcept;  // empty, or begins with '/'

  friend auto operator<=>(const SpiffeId&, const SpiffeId&) = default;

 private:
  explicit SpiffeId(std::string text) : text_(std::move(text)) {}
  std::string text_;
};

/// The trust-domain part alone.
[[nodiscard]] bool is_trust_domain(std::string_view text) noexcept;

}  // namespace mooring::identity
