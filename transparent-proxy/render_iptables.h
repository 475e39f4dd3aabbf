// A plan as input of iptables-restore --noflush and ip6tables-restore --noflush, for hosts without
// usable nftables. Own chains, one jump to each from a built-in chain. Pure; golden files in
// tests/golden/iptables-*.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "transparent-proxy/plan.h"

namespace mooring::transparent_proxy {

struct IptablesText {
  std::string v4;
  std::string v6;
};

/// One of our chains: where it is and from where it is jumped to.
struct IptablesChain {
  std::string table;     // "nat", "mangle", "filter"
  std::string built_in;  // "OUTPUT", "PREROUTING", "INPUT"
  std::string name;      // mooring_<boot suffix>_<a|b>_out ...; at most 28 characters
  friend auto operator<=>(const IptablesChain&, const IptablesChain&) = default;
};

/// A chain with its rules, one "-A" line each.
struct IptablesPart {
  IptablesChain chain;
  std::string rules;
};

[[nodiscard]] std::vector<IptablesPart> capture_parts(const Plan& plan, char letter, bool is_v6);
/// Empty if nothing is closed.
[[nodiscard]] std::vector<IptablesPart> guard_parts(const Plan& plan, bool is_v6);

/// Makes `wanted` of what is `present`: chains of ours that are not wanted go with their jumps.
/// Atomic for each table, not across tables. Empty if there is nothing to do.
[[nodiscard]] std::string render_iptables_change(const std::vector<IptablesPart>& wanted,
                                                 const std::vector<IptablesChain>& present);

/// Capture and guard on a host without any of ours.
[[nodiscard]] IptablesText render_iptables(const Plan& plan, char letter);

/// The chains of ours that iptables-save prints.
[[nodiscard]] std::vector<IptablesChain> parse_our_chains(std::string_view saved);
/// The lines of iptables-save that concern our chains, without counters.
[[nodiscard]] std::string our_lines(std::string_view saved);

}  // namespace mooring::transparent_proxy
