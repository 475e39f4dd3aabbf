#include "core/spiffe_text.h"

#include <algorithm>

namespace mooring {

namespace {

bool is_lower_or_digit(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

bool is_mark(char c) {
  return c == '.' || c == '-' || c == '_';
}

bool is_segment(std::string_view segment) {
  if (segment.empty() || segment == "." || segment == "..") return false;
  return std::all_of(segment.begin(), segment.end(), [](char c) {
    return is_lower_or_digit(c) || (c >= 'A' && c <= 'Z') || is_mark(c);
  });
}

}  // namespace

bool is_trust_domain_text(std::string_view text) noexcept {
  if (text.empty() || text.size() > kMaxTrustDomainBytes) return false;
  return std::all_of(
      text.begin(), text.end(), [](char c) { return is_lower_or_digit(c) || is_mark(c); });
}

bool is_spiffe_id(std::string_view text) noexcept {
  if (text.size() > kMaxSpiffeIdBytes || text.substr(0, kSpiffeScheme.size()) != kSpiffeScheme)
    return false;
  text.remove_prefix(kSpiffeScheme.size());
  std::size_t slash = text.find('/');
  if (!is_trust_domain_text(text.substr(0, slash))) return false;
  while (slash != std::string_view::npos) {
    text.remove_prefix(slash + 1);
    slash = text.find('/');
    if (!is_segment(text.substr(0, slash))) return false;
  }
  return true;
}

std::string_view spiffe_trust_domain(std::string_view text) noexcept {
  text.remove_prefix(std::min(text.size(), kSpiffeScheme.size()));
  return text.substr(0, text.find('/'));
}

}  // namespace mooring
