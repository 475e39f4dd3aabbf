// Who may talk to a service. Pure.
#pragma once

#include <string>
#include <string_view>

#include "snapshot/resources.h"

namespace mooring::policy {

struct Verdict {
  bool allowed = false;
  std::string rule;  // "allow spiffe://td/web", "deny ...", or empty: no rule matched
  std::string
      shadow;  // what the shadow rules say where that differs: "deny spiffe://td/web", else empty
};

[[nodiscard]] bool matches(const config::SpiffePattern& pattern,
                           std::string_view spiffe_id) noexcept;

/// Deny first, then allow, else denied. With shadow lists, `shadow` tells what they would have
/// decided in their place: a shadow deny that matches, or a shadow allow list that does not (or
/// would let in what is denied).
[[nodiscard]] Verdict authorize(const snapshot::Authorization& rules,
                                std::string_view peer_spiffe_id);

}  // namespace mooring::policy
