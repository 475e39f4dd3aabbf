#include "policy/authorize.h"

#include <algorithm>

namespace mooring::policy {

namespace {

using snapshot::Condition;
using snapshot::Regexes;

bool some_name_matches(const snapshot::StringMatcher& matcher,
                       std::span<const std::string_view> names,
                       const Regexes* regexes) {
  return std::any_of(names.begin(), names.end(), [&](std::string_view name) {
    return snapshot::matches(matcher, name, regexes);
  });
}

// The trees are as deep as build() lets them be.
bool holds(const Condition& condition, const ConnFacts& facts, const Regexes* regexes) {
  const auto inner_holds = [&](const Condition& inner) { return holds(inner, facts, regexes); };
  switch (condition.kind) {
    case Condition::Kind::any:
      return true;
    case Condition::Kind::all_of:
      return std::all_of(condition.of.begin(), condition.of.end(), inner_holds);
    case Condition::Kind::any_of:
      return std::any_of(condition.of.begin(), condition.of.end(), inner_holds);
    case Condition::Kind::none_of:
      return std::none_of(condition.of.begin(), condition.of.end(), inner_holds);
    case Condition::Kind::authenticated:
      return facts.is_authenticated;
    case Condition::Kind::peer_name:
      return facts.is_authenticated &&
             some_name_matches(condition.text,
                               facts.uri_names.empty() ? facts.dns_names : facts.uri_names,
                               regexes);
    case Condition::Kind::server_name:
      return snapshot::matches(condition.text, facts.server_name, regexes);
    case Condition::Kind::destination_ip:
      return condition.prefix.contains(facts.destination.ip);
    case Condition::Kind::source_ip:
      return condition.prefix.contains(facts.source);
    case Condition::Kind::destination_port:
      return facts.destination.port >= condition.port_begin &&
             facts.destination.port <= condition.port_end;
  }
  return false;
}

struct Decision {
  bool allow = false;
  const std::string* name = nullptr;
};

Decision decide(const snapshot::RuleList& list, const ConnFacts& facts, const Regexes* regexes) {
  for (const snapshot::Rule& rule : list.rules) {
    if (holds(rule.condition, facts, regexes)) return {rule.allow, &rule.name};
  }
  return {list.allow_otherwise, &list.otherwise};
}

}  // namespace

Verdict authorize(const std::vector<snapshot::Authorization>& filters,
                  const ConnFacts& facts,
                  const Regexes* regexes) {
  Verdict verdict;
  verdict.allowed = true;
  for (const snapshot::Authorization& filter : filters) {
    const Decision decision =
        filter.rules ? decide(*filter.rules, facts, regexes) : Decision{true, nullptr};
    if (filter.shadow && verdict.shadow.empty()) {
      const Decision shadow = decide(*filter.shadow, facts, regexes);
      if (shadow.allow != decision.allow) {
        verdict.shadow = *shadow.name;
        verdict.shadow_allowed = shadow.allow;
      }
    }
    if (!decision.allow) {
      verdict.allowed = false;
      verdict.rule = *decision.name;
      return verdict;
    }
    if (verdict.rule.empty() && decision.name != nullptr) verdict.rule = *decision.name;
  }
  return verdict;
}

}  // namespace mooring::policy
