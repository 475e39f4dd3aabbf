#include "identity/spiffe_id.h"

#include <algorithm>

namespace mooring::identity {

namespace {

constexpr std::string_view kScheme = "spiffe://";
constexpr std::size_t kMaxIdBytes = 2048;          // SPIFFE-ID §2.3
constexpr std::size_t kMaxTrustDomainBytes = 255;  // SPIFFE-ID §2.3

bool is_lower_or_digit(char c) noexcept {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

// SPIFFE-ID §2.1
bool is_trust_domain_byte(char c) noexcept {
  return is_lower_or_digit(c) || c == '.' || c == '-' || c == '_';
}

// SPIFFE-ID §2.2
bool is_path_byte(char c) noexcept {
  return is_trust_domain_byte(c) || (c >= 'A' && c <= 'Z');
}

bool is_segment(std::string_view segment) noexcept {
  return !segment.empty() && segment != "." && segment != ".." &&
         std::all_of(segment.begin(), segment.end(), is_path_byte);
}

// `path` is empty or begins with '/'.
bool is_path(std::string_view path) noexcept {
  while (!path.empty()) {
    path.remove_prefix(1);
    const std::string_view segment = path.substr(0, path.find('/'));
    if (!is_segment(segment)) return false;
    path.remove_prefix(segment.size());
  }
  return true;
}

}  // namespace

bool is_trust_domain(std::string_view text) noexcept {
  return !text.empty() && text.size() <= kMaxTrustDomainBytes &&
         std::all_of(text.begin(), text.end(), is_trust_domain_byte);
}

Result<SpiffeId> SpiffeId::parse(std::string_view text) {
  if (text.size() > kMaxIdBytes) return fail(Errc::too_large, "SpiffeId::parse");
  if (!text.starts_with(kScheme)) return fail(Errc::bad_input, "SpiffeId::parse: scheme");
  const std::string_view rest = text.substr(kScheme.size());
  const std::size_t slash = std::min(rest.find('/'), rest.size());
  if (!is_trust_domain(rest.substr(0, slash)))
    return fail(Errc::bad_input, "SpiffeId::parse: trust domain");
  if (!is_path(rest.substr(slash))) return fail(Errc::bad_input, "SpiffeId::parse: path");
  return SpiffeId(std::string(text));
}

std::string_view SpiffeId::trust_domain() const noexcept {
  const std::string_view rest = std::string_view(text_).substr(kScheme.size());
  return rest.substr(0, rest.find('/'));
}

std::string_view SpiffeId::path() const noexcept {
  return std::string_view(text_).substr(kScheme.size() + trust_domain().size());
}

}  // namespace mooring::identity
