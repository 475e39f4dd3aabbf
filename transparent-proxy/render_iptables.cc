#include "transparent-proxy/render_iptables.h"

#include <algorithm>
#include <map>
#include <sstream>

#include <fmt/format.h>

#include "transparent-proxy/render_nft.h"

namespace mooring::transparent_proxy {

namespace {

// multiport(8) takes at most 15 ports.
constexpr std::size_t kPortsPerRule = 15;

std::string chain_name(const Plan& plan, std::string_view generation, std::string_view direction) {
  return fmt::format("{}{}_{}_{}", kTablePrefix, plan.boot_suffix, generation, direction);
}

std::vector<std::string> port_matches(const std::vector<std::uint16_t>& ports) {
  std::vector<std::string> matches;
  for (std::size_t at = 0; at < ports.size(); at += kPortsPerRule) {
    const auto begin = ports.begin() + static_cast<std::ptrdiff_t>(at);
    const auto end =
        ports.begin() + static_cast<std::ptrdiff_t>(std::min(ports.size(), at + kPortsPerRule));
    matches.push_back(fmt::format("-p tcp -m multiport --dports {}", fmt::join(begin, end, ",")));
  }
  return matches;
}

// -A lines of one chain, for one family.
class Lines {
 public:
  Lines(std::string chain, bool is_v6) : chain_(std::move(chain)), is_v6_(is_v6) {}

  template <class... Args>
  void add(fmt::format_string<Args...> format, Args&&... args) {
    out_ += fmt::format("-A {} {}\n", chain_, fmt::format(format, std::forward<Args>(args)...));
  }
  void exclude_agent(const Plan& plan) { add("-m owner --uid-owner {} -j RETURN", plan.agent_uid); }
  // Before loopback leaves the chain: a stub has an address there.
  void redirect_dns(const Plan& plan) {
    if (!plan.redirects_dns()) return;
    std::string of_others;
    for (const std::uint32_t uid : plan.dns.except)
      of_others += fmt::format("-m owner ! --uid-owner {} ", uid);
    for (const IpPrefix& resolver : plan.dns.resolvers) {
      if (!is_ours(resolver)) continue;
      for (const char* first : {"-p udp --dport 53", "-p tcp --dport 53 --syn"}) {
        add("-d {} {} {}-j REDIRECT --to-ports {}",
            resolver.to_string(),
            first,
            of_others,
            plan.dns.port);
      }
    }
  }
  void exclude_outbound(const Plan& plan) {
    add("-o lo -j RETURN");
    for (const IpPrefix& prefix : plan.never) {
      if (is_ours(prefix)) add("-d {} -j RETURN", prefix.to_string());
    }
    for (const IpPrefix& resolver : plan.resolvers) {
      if (is_ours(resolver))
        add("-d {} -p tcp -m multiport --dports 53,853 -j RETURN", resolver.to_string());
    }
    for (const std::string& ports : port_matches(plan.never_ports))
      add("{} -j RETURN", ports);
  }
  // Every prefix of the family with every port; `verdict` follows the match of a connection's first
  // segment.
  void each_target(const Plan& plan, bool closed_only, std::string_view verdict) {
    for (const OutboundGroup& group : plan.outbound) {
      if (group.is_v6 != is_v6_ || (closed_only && !is_closed(group.on_agent_death))) continue;
      for (const IpPrefix& prefix : group.prefixes) {
        for (const std::string& ports : port_matches(group.ports)) {
          add("-d {} {} --syn {}", prefix.to_string(), ports, verdict);
        }
      }
    }
    if (plan.refuse_other && (!closed_only || is_closed(plan.other_on_agent_death)))
      add("-p tcp --syn {}", verdict);
  }
  [[nodiscard]] const std::string& text() const { return out_; }

 private:
  [[nodiscard]] bool is_ours(const IpPrefix& prefix) const { return prefix.base.is_v4() != is_v6_; }

  std::string chain_;
  bool is_v6_;
  std::string out_;
};

void inbound_rules(Lines& lines, const Plan& plan, bool is_v6) {
  lines.add("-i lo -j RETURN");
  lines.add("-m addrtype ! --dst-type LOCAL -j RETURN");
  std::vector<std::uint16_t> ports = plan.inbound_open;
  ports.insert(ports.end(), plan.inbound_closed.begin(), plan.inbound_closed.end());
  std::sort(ports.begin(), ports.end());
  if (plan.redirects_inbound) {
    for (const std::string& match : port_matches(ports))
      lines.add("{} --syn -j REDIRECT --to-ports {}", match, plan.inbound_port);
    return;
  }
  for (const std::string& match : port_matches(ports)) {
    lines.add("{} -m socket --transparent -j RETURN", match);
    // The mark stays what it is: mask 0.
    lines.add("{} -j TPROXY --on-ip {} --on-port {} --tproxy-mark 0x0/0x0",
              match,
              is_v6 ? "::1" : "127.0.0.1",
              plan.inbound_port);
  }
  for (const std::string& match : port_matches(plan.inbound_closed))
    lines.add("{} --syn -j DROP", match);
}

bool names(const std::vector<IptablesPart>& parts, const IptablesChain& chain) {
  return std::any_of(parts.begin(), parts.end(), [&](const IptablesPart& part) {
    return part.chain.table == chain.table && part.chain.name == chain.name;
  });
}

}  // namespace

std::vector<IptablesPart> capture_parts(const Plan& plan, char letter, bool is_v6) {
  const std::string generation(1, letter);
  std::vector<IptablesPart> parts;
  if (plan.captures_outbound()) {
    const std::string name = chain_name(plan, generation, "out");
    Lines lines(name, is_v6);
    lines.exclude_agent(plan);
    lines.redirect_dns(plan);
    lines.exclude_outbound(plan);
    lines.each_target(plan, false, fmt::format("-j REDIRECT --to-ports {}", plan.outbound_port));
    parts.push_back({{"nat", "OUTPUT", name}, lines.text()});
  }
  if (plan.captures_inbound()) {
    const std::string name = chain_name(plan, generation, "in");
    Lines lines(name, is_v6);
    inbound_rules(lines, plan, is_v6);
    parts.push_back(
        {{plan.redirects_inbound ? "nat" : "mangle", "PREROUTING", name}, lines.text()});
  }
  return parts;
}

std::vector<IptablesPart> guard_parts(const Plan& plan, bool is_v6) {
  std::vector<IptablesPart> parts;
  if (plan.guards_outbound()) {
    const std::string name = chain_name(plan, "guard", "out");
    Lines lines(name, is_v6);
    lines.exclude_agent(plan);
    lines.exclude_outbound(plan);
    lines.each_target(
        plan, true, "-m conntrack ! --ctstate DNAT -j REJECT --reject-with tcp-reset");
    parts.push_back({{"filter", "OUTPUT", name}, lines.text()});
  }
  if (!plan.inbound_closed.empty()) {
    const std::string name = chain_name(plan, "guard", "in");
    Lines lines(name, is_v6);
    lines.add("-i lo -j RETURN");
    for (const std::string& match : port_matches(plan.inbound_closed)) {
      if (!plan.redirects_inbound) lines.add("{} -m socket --transparent -j RETURN", match);
      lines.add("{} --syn -j REJECT --reject-with tcp-reset", match);
    }
    parts.push_back({{"filter", "INPUT", name}, lines.text()});
  }
  return parts;
}

std::string render_iptables_change(const std::vector<IptablesPart>& wanted,
                                   const std::vector<IptablesChain>& present) {
  std::map<std::string, std::string> by_table;
  for (const IptablesPart& part : wanted) {
    const IptablesChain& chain = part.chain;
    const bool has_jump = std::find(present.begin(), present.end(), chain) != present.end();
    std::string& text = by_table[chain.table];
    text += fmt::format(
        ":{} - [0:0]\n{}", chain.name, part.rules);  // a chain that is there is emptied by this
    if (!has_jump) text += fmt::format("-I {} 1 -j {}\n", chain.built_in, chain.name);
  }
  for (const IptablesChain& chain : present) {
    if (names(wanted, chain)) continue;
    std::string& text = by_table[chain.table];
    if (!chain.built_in.empty()) text += fmt::format("-D {} -j {}\n", chain.built_in, chain.name);
    text += fmt::format("-F {0}\n-X {0}\n", chain.name);
  }
  std::string text;
  for (const auto& [table, lines] : by_table)
    text += fmt::format("*{}\n{}COMMIT\n", table, lines);
  return text;
}

IptablesText render_iptables(const Plan& plan, char letter) {
  const auto whole = [&](bool is_v6) {
    auto parts = capture_parts(plan, letter, is_v6);
    const auto guard = guard_parts(plan, is_v6);
    parts.insert(parts.end(), guard.begin(), guard.end());
    return render_iptables_change(parts, {});
  };
  return {whole(false), whole(true)};
}

std::vector<IptablesChain> parse_our_chains(std::string_view saved) {
  std::vector<IptablesChain> chains;
  std::istringstream lines{std::string(saved)};
  std::string table;
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string first;
    std::string second;
    std::string third;
    std::string fourth;
    words >> first >> second >> third >> fourth;
    if (first.starts_with('*')) {
      table = first.substr(1);
    } else if (first.starts_with(fmt::format(":{}", kTablePrefix))) {
      chains.push_back({table, "", first.substr(1)});
    } else if (first == "-A" && third == "-j") {
      for (IptablesChain& chain : chains) {
        if (chain.table == table && chain.name == fourth) chain.built_in = second;
      }
    }
  }
  return chains;
}

std::string our_lines(std::string_view saved) {
  std::istringstream lines{std::string(saved)};
  std::string table;
  std::string found;
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with('*')) table = line;
    if (line.find(kTablePrefix) == std::string::npos || line.starts_with('#')) continue;
    found += table + " " + line.substr(0, line.find(" - [")) + "\n";
  }
  return found;
}

}  // namespace mooring::transparent_proxy
