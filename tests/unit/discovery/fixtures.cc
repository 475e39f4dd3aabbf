#include <gtest/gtest.h>

#include "fixtures.h"

namespace mooring::discovery {

namespace {

namespace matcher_v3 = xds::type::matcher::v3;

void set_action(matcher_v3::Matcher::OnMatch& on_match,
                const std::string& name,
                rbac_v3::RBAC::Action what) {
  rbac_v3::Action action;
  action.set_name(name);
  action.set_action(what);
  on_match.mutable_action()->set_name("envoy.filters.rbac.action");
  pack(action, *on_match.mutable_action()->mutable_typed_config());
}

}  // namespace

network_rbac_v3::RBAC allow_only(const std::string& id) {
  network_rbac_v3::RBAC out;
  out.set_stat_prefix("inbound.");
  auto* rule = out.mutable_matcher()->mutable_matcher_list()->add_matchers();
  auto* single = rule->mutable_predicate()->mutable_single_predicate();
  pack_empty("envoy.extensions.matching.common_inputs.ssl.v3.UriSanInput",
             *single->mutable_input()->mutable_typed_config());
  single->mutable_value_match()->set_exact(id);
  set_action(*rule->mutable_on_match(), "allow-web", rbac_v3::RBAC::ALLOW);
  set_action(*out.mutable_matcher()->mutable_on_no_match(), "default", rbac_v3::RBAC::DENY);
  return out;
}

}  // namespace mooring::discovery
