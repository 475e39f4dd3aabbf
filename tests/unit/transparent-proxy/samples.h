// One host that has a bit of everything, for the tests of planning and rendering.
#pragma once

#include "transparent-proxy/plan.h"

namespace mooring::transparent_proxy {

inline HostFacts sample_facts() {
  HostFacts facts;
  facts.agent_uid = 998;
  facts.boot_suffix = "0123abcd";
  facts.resolvers = {*parse_ip("10.0.0.53"), *parse_ip("fd00::53")};
  facts.name_servers = {*parse_ip("10.0.0.53"), *parse_ip("fd00::53")};
  facts.resolver_uids = {102, 101};
  facts.sshd_ports = {22, 2222};
  facts.ssh_peers = {*parse_ip("10.9.8.7")};
  return facts;
}

inline InterceptConfig sample_config() {
  InterceptConfig config;
  config.outbound = {{*parse_prefix("10.1.0.0/16"), 5432, OnAgentDeath::open},
                     {*parse_prefix("10.1.0.0/16"), 8080, OnAgentDeath::open},
                     {*parse_prefix("10.2.0.1"), 3306, OnAgentDeath::closed},
                     {*parse_prefix("fd00:1::/64"), 5432, OnAgentDeath::open},
                     {*parse_prefix("fd00:2::1"), 3306, OnAgentDeath::closed}};
  config.inbound = {
      {8080, OnAgentDeath::closed}, {8443, OnAgentDeath::closed}, {9000, OnAgentDeath::open}};
  config.exclude_addresses = {*parse_prefix("10.1.2.0/24")};
  config.exclude_ports = {9999};
  return config;
}

}  // namespace mooring::transparent_proxy
