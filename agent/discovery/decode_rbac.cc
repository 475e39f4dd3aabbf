// The network RBAC filter: rules of envoy.config.rbac.v3, or a matcher of xds.type.matcher.v3.
#include <map>

#include "discovery/decode_parts.h"

namespace mooring::discovery {

namespace {

using snapshot::Condition;
using Kind = Condition::Kind;
namespace matcher_v3 = xds::type::matcher::v3;

constexpr int kMaxRules = 4096;
constexpr int kMaxConditions = 65'536;  // of a filter
constexpr int kMaxDepth = 28;           // with what is around it, the 32 of a snapshot

constexpr std::string_view kUriSan = "envoy.extensions.matching.common_inputs.ssl.v3.UriSanInput";
constexpr std::string_view kServerName =
    "envoy.extensions.matching.common_inputs.network.v3.ServerNameInput";

/// How much of a tree was seen.
struct Tree {
  int conditions = 0;
  int depth = 0;
};

/// A level of the tree; rejects for what is too large.
class Level {
 public:
  Level(Reader& reader, Tree& tree) : tree_(tree) {
    ++tree_.depth;
    ++tree_.conditions;
    if (tree_.depth > kMaxDepth) reader.reject("", "is nested too deep");
    if (tree_.conditions > kMaxConditions) reader.reject("", "has too many conditions");
    fits_ = tree_.depth <= kMaxDepth && tree_.conditions <= kMaxConditions;
  }
  ~Level() { --tree_.depth; }
  Level(const Level&) = delete;
  Level& operator=(const Level&) = delete;
  [[nodiscard]] bool fits() const noexcept { return fits_; }

 private:
  Tree& tree_;
  bool fits_ = false;
};

Condition of_kind(Kind kind) {
  Condition out;
  out.kind = kind;
  return out;
}

Condition negated(Condition condition) {
  Condition out = of_kind(Kind::none_of);
  out.of.push_back(std::move(condition));
  return out;
}

/// The elements of a repeated field, each by `decode(reader, element, tree)`.
template <class Elements, class Decode>
Condition decode_all(Reader& reader,
                     Kind kind,
                     std::string_view field,
                     const Elements& elements,
                     Tree& tree,
                     Decode decode) {
  Condition out = of_kind(kind);
  if (elements.empty()) reader.reject(field, "is empty");
  for (int i = 0; i < elements.size() && reader.ok(); ++i) {
    const In in(reader, field, i, elements[i]);
    out.of.push_back(decode(reader, elements[i], tree));
  }
  return out;
}

// ---- rules

Condition decode_permission(Reader& reader, const rbac_v3::Permission& message, Tree& tree);
Condition decode_principal(Reader& reader, const rbac_v3::Principal& message, Tree& tree);

Condition decode_port_range(Reader& reader, const envoy::type::v3::Int32Range& range) {
  const In in(reader, "destination_port_range", range);
  Condition out = of_kind(Kind::destination_port);
  if (range.start() < 0 || range.end() <= range.start() || range.end() > 65536) {
    reader.reject("", "is no range of ports");
    return out;
  }
  out.port_begin = static_cast<std::uint16_t>(range.start());
  out.port_end = static_cast<std::uint16_t>(range.end() - 1);
  return out;
}

Condition decode_any(Reader& reader, bool value) {
  if (!value) reader.reject("any", "is false");
  return of_kind(Kind::any);
}

Condition decode_permission_rule(Reader& reader, const rbac_v3::Permission& message, Tree& tree) {
  Condition out;
  switch (message.rule_case()) {
    case rbac_v3::Permission::kAny:
      return decode_any(reader, message.any());
    case rbac_v3::Permission::kAndRules:
    case rbac_v3::Permission::kOrRules: {
      const bool all = message.has_and_rules();
      const rbac_v3::Permission::Set& set = all ? message.and_rules() : message.or_rules();
      const In in(reader, all ? "and_rules" : "or_rules", set);
      return decode_all(
          reader, all ? Kind::all_of : Kind::any_of, "rules", set.rules(), tree, decode_permission);
    }
    case rbac_v3::Permission::kNotRule: {
      const In in(reader, "not_rule", message.not_rule());
      return negated(decode_permission(reader, message.not_rule(), tree));
    }
    case rbac_v3::Permission::kDestinationIp:
      out = of_kind(Kind::destination_ip);
      out.prefix = read_prefix(reader, "destination_ip", message.destination_ip());
      return out;
    case rbac_v3::Permission::kDestinationPort:
      if (message.destination_port() > 65535) reader.reject("destination_port", "is above 65535");
      out = of_kind(Kind::destination_port);
      out.port_begin = out.port_end = static_cast<std::uint16_t>(message.destination_port());
      return out;
    case rbac_v3::Permission::kDestinationPortRange:
      return decode_port_range(reader, message.destination_port_range());
    case rbac_v3::Permission::kRequestedServerName:
      out = of_kind(Kind::server_name);
      out.text = read_matcher(reader, "requested_server_name", message.requested_server_name());
      return out;
    case rbac_v3::Permission::RULE_NOT_SET:
      reader.reject("", "is of no kind that this agent knows");
      break;
  }
  return out;
}

Condition decode_permission(Reader& reader, const rbac_v3::Permission& message, Tree& tree) {
  const Level level(reader, tree);
  return level.fits() ? decode_permission_rule(reader, message, tree) : Condition{};
}

Condition decode_identifier(Reader& reader, const rbac_v3::Principal& message, Tree& tree) {
  Condition out;
  switch (message.identifier_case()) {
    case rbac_v3::Principal::kAny:
      return decode_any(reader, message.any());
    case rbac_v3::Principal::kAndIds:
    case rbac_v3::Principal::kOrIds: {
      const bool all = message.has_and_ids();
      const rbac_v3::Principal::Set& set = all ? message.and_ids() : message.or_ids();
      const In in(reader, all ? "and_ids" : "or_ids", set);
      return decode_all(
          reader, all ? Kind::all_of : Kind::any_of, "ids", set.ids(), tree, decode_principal);
    }
    case rbac_v3::Principal::kNotId: {
      const In in(reader, "not_id", message.not_id());
      return negated(decode_principal(reader, message.not_id(), tree));
    }
    case rbac_v3::Principal::kAuthenticated: {
      const In in(reader, "authenticated", message.authenticated());
      if (!message.authenticated().has_principal_name()) return of_kind(Kind::authenticated);
      out = of_kind(Kind::peer_name);
      out.text = read_matcher(reader, "principal_name", message.authenticated().principal_name());
      return out;
    }
    case rbac_v3::Principal::kSourceIp:
      out = of_kind(Kind::source_ip);
      out.prefix = read_prefix(reader, "source_ip", message.source_ip());
      return out;
    case rbac_v3::Principal::kDirectRemoteIp:
      out = of_kind(Kind::source_ip);
      out.prefix = read_prefix(reader, "direct_remote_ip", message.direct_remote_ip());
      return out;
    case rbac_v3::Principal::IDENTIFIER_NOT_SET:
      reader.reject("", "is of no kind that this agent knows");
      break;
  }
  return out;
}

Condition decode_principal(Reader& reader, const rbac_v3::Principal& message, Tree& tree) {
  const Level level(reader, tree);
  return level.fits() ? decode_identifier(reader, message, tree) : Condition{};
}

snapshot::RuleList decode_rules(Reader& reader,
                                std::string_view field,
                                const rbac_v3::RBAC& message,
                                Tree& tree) {
  snapshot::RuleList out;
  const In in(reader, field, message);
  const bool allow = message.action() == rbac_v3::RBAC::ALLOW;
  if (!allow && message.action() != rbac_v3::RBAC::DENY)
    reader.reject("action", "is not supported");
  out.allow_otherwise = !allow;
  // Envoy looks at policies in the order of their names.
  std::map<std::string_view, const rbac_v3::Policy*> sorted;
  for (const auto& [name, policy] : message.policies())
    sorted.emplace(name, &policy);
  if (!reader.within("policies", static_cast<int>(sorted.size()), kMaxRules)) return out;
  for (const auto& [name, policy] : sorted) {
    if (!reader.ok()) break;
    const In one(reader, "policies[" + std::string(name.substr(0, 100)) + "]", *policy);
    Condition both = of_kind(Kind::all_of);
    both.of.push_back(decode_all(
        reader, Kind::any_of, "permissions", policy->permissions(), tree, decode_permission));
    both.of.push_back(decode_all(
        reader, Kind::any_of, "principals", policy->principals(), tree, decode_principal));
    out.rules.push_back({read_text(reader, "", std::string(name)), allow, std::move(both)});
  }
  return out;
}

// ---- matcher

using Predicate = matcher_v3::Matcher::MatcherList::Predicate;

/// An input without a value fits nothing, whatever would fit an empty text.
Condition of_some_name(Condition condition) {
  if (condition.text.kind != snapshot::StringMatcher::Kind::safe_regex) return condition;
  Condition empty = of_kind(Kind::server_name);
  empty.text.kind = snapshot::StringMatcher::Kind::exact;
  Condition both = of_kind(Kind::all_of);
  both.of.push_back(std::move(condition));
  both.of.push_back(negated(std::move(empty)));
  return both;
}

Condition decode_single(Reader& reader, const Predicate::SinglePredicate& message) {
  const In in(reader, "single_predicate", message);
  Condition out;
  {
    const In input(reader, "input", message.input());
    const google::protobuf::Any& any = message.input().typed_config();
    const std::string_view type = type_name(any);
    if (type != kUriSan && type != kServerName)
      reader.reject("typed_config", "is an input that this agent does not have");
    const In config(reader, "typed_config", any);
    reader.check_unknown(type, any.value());
    out.kind = type == kServerName ? Kind::server_name : Kind::peer_name;
  }
  if (message.has_value_match()) {
    out.text = read_matcher(reader, "value_match", message.value_match());
  } else {
    reader.reject("", "matches in a way that this agent does not know");
  }
  return out.kind == Kind::server_name ? of_some_name(std::move(out)) : out;
}

Condition decode_predicate(Reader& reader, const Predicate& message, Tree& tree) {
  const Level level(reader, tree);
  if (!level.fits()) return {};
  switch (message.match_type_case()) {
    case Predicate::kSinglePredicate:
      return decode_single(reader, message.single_predicate());
    case Predicate::kOrMatcher:
    case Predicate::kAndMatcher: {
      const bool all = message.has_and_matcher();
      const auto& list = all ? message.and_matcher() : message.or_matcher();
      const In in(reader, all ? "and_matcher" : "or_matcher", list);
      return decode_all(reader,
                        all ? Kind::all_of : Kind::any_of,
                        "predicate",
                        list.predicate(),
                        tree,
                        decode_predicate);
    }
    case Predicate::kNotMatcher: {
      const In in(reader, "not_matcher", message.not_matcher());
      return negated(decode_predicate(reader, message.not_matcher(), tree));
    }
    case Predicate::MATCH_TYPE_NOT_SET:
      reader.reject("", "is of no kind that this agent knows");
      break;
  }
  return {};
}

struct Verdict {
  std::string name;
  bool allow = false;
};

Verdict decode_action(Reader& reader,
                      std::string_view field,
                      const matcher_v3::Matcher::OnMatch& message) {
  Verdict out;
  const In in(reader, field, message);
  if (!message.has_action()) {
    reader.reject("", "is no action: nested matchers are not supported");
    return out;
  }
  const In extension(reader, "action", message.action());
  rbac_v3::Action action;
  const google::protobuf::Any& any = message.action().typed_config();
  const In config(reader, "typed_config", any);
  if (type_name(any) != action.GetTypeName()) {
    reader.reject("", "is an action that this agent does not know");
    return out;
  }
  if (!reader.parse(any.value(), action)) return out;
  const In inside(reader, "", action);
  out.name = read_text(reader, "name", action.name());
  out.allow = action.action() == rbac_v3::RBAC::ALLOW;
  if (!out.allow && action.action() != rbac_v3::RBAC::DENY)
    reader.reject("action", "is not supported");
  return out;
}

/// Where nothing matches and nothing is said for that, Envoy denies.
snapshot::RuleList decode_matcher(Reader& reader,
                                  std::string_view field,
                                  const matcher_v3::Matcher& message,
                                  Tree& tree) {
  snapshot::RuleList out;
  const In in(reader, field, message);
  if (message.has_on_no_match()) {
    Verdict verdict = decode_action(reader, "on_no_match", message.on_no_match());
    out.allow_otherwise = verdict.allow;
    out.otherwise = std::move(verdict.name);
  }
  const matcher_v3::Matcher::MatcherList& list = message.matcher_list();
  const In rules(reader, "matcher_list", list);
  if (!reader.within("matchers", list.matchers_size(), kMaxRules)) return out;
  for (int i = 0; i < list.matchers_size() && reader.ok(); ++i) {
    const In one(reader, "matchers", i, list.matchers(i));
    Verdict verdict = decode_action(reader, "on_match", list.matchers(i).on_match());
    const In predicate(reader, "predicate", list.matchers(i).predicate());
    out.rules.push_back({std::move(verdict.name),
                         verdict.allow,
                         decode_predicate(reader, list.matchers(i).predicate(), tree)});
  }
  return out;
}

}  // namespace

snapshot::Authorization decode_authorization(Reader& reader, const network_rbac_v3::RBAC& message) {
  snapshot::Authorization out;
  Tree tree;
  out.stat_prefix = read_text(reader, "stat_prefix", message.stat_prefix());
  if (message.has_rules() && message.has_matcher())
    reader.reject("matcher", "and rules exclude each other");
  if (message.has_shadow_rules() && message.has_shadow_matcher())
    reader.reject("shadow_matcher", "and shadow_rules exclude each other");
  if (message.has_rules()) {
    out.rules = decode_rules(reader, "rules", message.rules(), tree);
  } else if (message.has_matcher()) {
    out.rules = decode_matcher(reader, "matcher", message.matcher(), tree);
  }
  if (message.has_shadow_rules()) {
    out.shadow = decode_rules(reader, "shadow_rules", message.shadow_rules(), tree);
  } else if (message.has_shadow_matcher()) {
    out.shadow = decode_matcher(reader, "shadow_matcher", message.shadow_matcher(), tree);
  }
  return out;
}

}  // namespace mooring::discovery
