#include "identity/spiffe_id.h"

#include "core/spiffe_text.h"

namespace mooring::identity {

bool is_trust_domain(std::string_view text) noexcept {
  return is_trust_domain_text(text);
}

Result<SpiffeId> SpiffeId::parse(std::string_view text) {
  if (text.size() > kMaxSpiffeIdBytes) return fail(Errc::too_large, "SpiffeId::parse");
  if (!is_spiffe_id(text)) return fail(Errc::bad_input, "SpiffeId::parse");
  return SpiffeId(std::string(text));
}

std::string_view SpiffeId::trust_domain() const noexcept {
  return spiffe_trust_domain(text_);
}

std::string_view SpiffeId::path() const noexcept {
  return std::string_view(text_).substr(kSpiffeScheme.size() + trust_domain().size());
}

}  // namespace mooring::identity
