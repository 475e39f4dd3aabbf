#include "policy/authorize.h"

#include <vector>

namespace mooring::policy {

namespace {

const config::SpiffePattern* find(const std::vector<config::SpiffePattern>& patterns,
                                  std::string_view id) noexcept {
  for (const auto& pattern : patterns) {
    if (matches(pattern, id)) return &pattern;
  }
  return nullptr;
}

std::string name_of(const char* verb, const config::SpiffePattern& pattern) {
  return std::string(verb) + " " + pattern.text + (pattern.is_prefix ? "*" : "");
}

std::string shadow_of(const snapshot::Authorization& rules, std::string_view id, bool allowed) {
  if (const auto* rule = find(rules.shadow_deny, id))
    return allowed ? name_of("deny", *rule) : std::string();
  if (rules.shadow_allow.empty()) return {};
  const auto* rule = find(rules.shadow_allow, id);
  if (rule != nullptr && !allowed) return name_of("allow", *rule);
  if (rule == nullptr && allowed) return "deny (no shadow_allow rule matches)";
  return {};
}

}  // namespace

bool matches(const config::SpiffePattern& pattern, std::string_view spiffe_id) noexcept {
  return pattern.is_prefix
             ? spiffe_id.starts_with(pattern.text) && spiffe_id.size() > pattern.text.size()
             : spiffe_id == pattern.text;
}

Verdict authorize(const snapshot::Authorization& rules, std::string_view peer_spiffe_id) {
  Verdict verdict;
  if (const auto* deny = find(rules.deny, peer_spiffe_id)) {
    verdict.rule = name_of("deny", *deny);
  } else if (const auto* allow = find(rules.allow, peer_spiffe_id)) {
    verdict.allowed = true;
    verdict.rule = name_of("allow", *allow);
  }
  verdict.shadow = shadow_of(rules, peer_spiffe_id, verdict.allowed);
  return verdict;
}

}  // namespace mooring::policy
