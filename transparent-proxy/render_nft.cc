#include "transparent-proxy/render_nft.h"

#include <algorithm>

#include <fmt/format.h>

namespace mooring::transparent_proxy {

namespace {

// A connection's first segment and nothing else: connections that live already are left alone.
constexpr std::string_view kFirstSegment = "tcp flags & (fin | syn | rst | ack) == syn";

class Text {
 public:
  template <class... Args>
  void line(int depth, fmt::format_string<Args...> format, Args&&... args) {
    out_.append(static_cast<std::size_t>(depth) * 2, ' ');
    fmt::format_to(std::back_inserter(out_), format, std::forward<Args>(args)...);
    out_ += '\n';
  }
  template <class... Args>
  void rule(fmt::format_string<Args...> format, Args&&... args) {
    line(2, format, std::forward<Args>(args)...);
  }
  [[nodiscard]] std::string take() { return std::move(out_); }

 private:
  std::string out_;
};

std::string one_of(const std::vector<std::uint16_t>& ports) {
  return fmt::format("{{ {} }}", fmt::join(ports, ", "));
}

std::string to_nft(const IpPrefix& prefix) {
  const bool is_host = prefix.length == (prefix.base.is_v4() ? 32 : 128);
  return is_host ? prefix.base.to_string() : prefix.to_string();
}

// "ip daddr { ... }", or what stands for "any" in the family; empty if no prefix is of the family.
std::string destination(const std::vector<IpPrefix>& prefixes, bool is_v6) {
  std::string list;
  for (const IpPrefix& prefix : prefixes) {
    if (prefix.base.is_v4() == is_v6) continue;
    if (prefix.length == 0) return fmt::format("meta nfproto {}", is_v6 ? "ipv6" : "ipv4");
    list += list.empty() ? "" : ", ";
    list += to_nft(prefix);
  }
  if (list.empty()) return {};
  return fmt::format("{} daddr {{ {} }}", is_v6 ? "ip6" : "ip", list);
}

bool has_family(std::string_view table_family, bool is_v6) {
  return table_family == "inet" || table_family == (is_v6 ? "ip6" : "ip");
}

std::vector<std::uint16_t> all_inbound(const Plan& plan) {
  std::vector<std::uint16_t> ports = plan.inbound_open;
  ports.insert(ports.end(), plan.inbound_closed.begin(), plan.inbound_closed.end());
  std::sort(ports.begin(), ports.end());
  return ports;
}

// Before loopback leaves the chain: a stub has an address there.
void redirect_dns(Text& text, const Plan& plan, std::string_view family) {
  if (!plan.redirects_dns()) return;
  const std::string of_others =
      plan.dns.except.empty()
          ? std::string()
          : fmt::format("meta skuid != {{ {} }} ", fmt::join(plan.dns.except, ", "));
  for (const bool is_v6 : {false, true}) {
    if (!has_family(family, is_v6)) continue;
    const std::string resolvers = destination(plan.dns.resolvers, is_v6);
    if (resolvers.empty()) continue;
    text.rule(
        "{}{} udp dport 53 redirect to :{} comment \"names\"", of_others, resolvers, plan.dns.port);
    text.rule("{}{} tcp dport 53 {} redirect to :{} comment \"names\"",
              of_others,
              resolvers,
              kFirstSegment,
              plan.dns.port);
  }
}

void exclude_agent(Text& text, const Plan& plan) {
  text.rule("meta skuid {} return comment \"the agent itself\"", plan.agent_uid);
}

// What leaves the chain before anything is captured or refused.
void exclude_outbound(Text& text, const Plan& plan, std::string_view family) {
  text.rule("oifname \"lo\" return comment \"loopback\"");
  for (const bool is_v6 : {false, true}) {
    if (!has_family(family, is_v6)) continue;
    if (const std::string never = destination(plan.never, is_v6); !never.empty()) {
      text.rule("{} return comment \"never captured\"", never);
    }
    if (const std::string dns = destination(plan.resolvers, is_v6); !dns.empty()) {
      text.rule("{} tcp dport {{ 53, 853 }} return comment \"resolvers\"", dns);
    }
  }
  if (!plan.never_ports.empty()) {
    text.rule("tcp dport {} return comment \"ports never captured\"", one_of(plan.never_ports));
  }
}

void outbound_chain(Text& text, const Plan& plan, std::string_view family) {
  text.line(1, "chain outbound {{");
  text.rule("type nat hook output priority -110; policy accept;");
  exclude_agent(text, plan);
  redirect_dns(text, plan, family);
  exclude_outbound(text, plan, family);
  for (const OutboundGroup& group : plan.outbound) {
    if (!has_family(family, group.is_v6)) continue;
    text.rule("{} tcp dport {} {} redirect to :{} comment \"upstreams\"",
              destination(group.prefixes, group.is_v6),
              one_of(group.ports),
              kFirstSegment,
              plan.outbound_port);
  }
  if (plan.refuse_other) {
    text.rule("{} redirect to :{} comment \"other traffic, for the agent to refuse\"",
              kFirstSegment,
              plan.outbound_port);
  }
  text.line(1, "}}");
}

// Nobody listening is a refusal here: nothing has to be dropped.
void redirected_inbound_chain(Text& text, const Plan& plan) {
  text.line(1, "chain inbound {{");
  text.rule("type nat hook prerouting priority -110; policy accept;");
  text.rule("iifname \"lo\" return comment \"loopback\"");
  text.rule("fib daddr type != local return comment \"forwarded\"");
  text.rule("tcp dport {} {} redirect to :{} comment \"services\"",
            one_of(all_inbound(plan)),
            kFirstSegment,
            plan.inbound_port);
  text.line(1, "}}");
}

// No flags here but on the drop: tproxy prefers an established socket to its listener, and if that
// one is not transparent (a connection older than capture) the rule does not match. An ACK that
// answers a SYN cookie has no socket yet and must reach our listener, not the application's.
void inbound_chain(Text& text, const Plan& plan, std::string_view family) {
  if (plan.redirects_inbound) return redirected_inbound_chain(text, plan);
  text.line(1, "chain inbound {{");
  text.rule("type filter hook prerouting priority -151; policy accept;");
  text.rule("iifname \"lo\" return comment \"loopback\"");
  text.rule("fib daddr type != local return comment \"forwarded\"");
  const std::vector<std::uint16_t> ports = all_inbound(plan);
  text.rule("tcp dport {} socket transparent 1 accept comment \"live connections\"", one_of(ports));
  for (const bool is_v6 : {false, true}) {
    if (!has_family(family, is_v6)) continue;
    const std::string_view match =
        family == "inet" ? (is_v6 ? "meta nfproto ipv6 " : "meta nfproto ipv4 ") : "";
    text.rule("{}tcp dport {} tproxy {}to {}:{} accept comment \"services\"",
              match,
              one_of(ports),
              family == "inet" ? (is_v6 ? "ip6 " : "ip ") : "",
              is_v6 ? "[::1]" : "127.0.0.1",
              plan.inbound_port);
  }
  if (!plan.inbound_closed.empty()) {
    text.rule("tcp dport {} {} drop comment \"closed without the agent\"",
              one_of(plan.inbound_closed),
              kFirstSegment);
  }
  text.line(1, "}}");
}

// A redirected connection has dnat in its status by the time the filter hook sees it.
constexpr std::string_view kNotRedirected = "ct status & dnat == 0 reject with tcp reset";

void guard_outbound(Text& text, const Plan& plan, std::string_view family) {
  text.line(1, "chain outbound {{");
  text.rule("type filter hook output priority 0; policy accept;");
  exclude_agent(text, plan);
  exclude_outbound(text, plan, family);
  for (const OutboundGroup& group : plan.outbound) {
    if (!has_family(family, group.is_v6) || !is_closed(group.on_agent_death)) continue;
    text.rule("{} tcp dport {} {} {} comment \"upstreams\"",
              destination(group.prefixes, group.is_v6),
              one_of(group.ports),
              kFirstSegment,
              kNotRedirected);
  }
  if (plan.refuse_other && is_closed(plan.other_on_agent_death)) {
    text.rule("{} {} comment \"other traffic\"", kFirstSegment, kNotRedirected);
  }
  text.line(1, "}}");
}

void guard_inbound(Text& text, const Plan& plan) {
  text.line(1, "chain inbound {{");
  text.rule("type filter hook input priority -5; policy accept;");
  text.rule("iifname \"lo\" return comment \"loopback\"");
  // What was redirected has the agent's port by now.
  if (!plan.redirects_inbound) {
    text.rule("tcp dport {} socket transparent 1 accept comment \"given to the agent\"",
              one_of(plan.inbound_closed));
  }
  text.rule("tcp dport {} {} reject with tcp reset comment \"services\"",
            one_of(plan.inbound_closed),
            kFirstSegment);
  text.line(1, "}}");
}

bool guards_outbound(const Plan& plan, std::string_view family) {
  if (plan.refuse_other && is_closed(plan.other_on_agent_death)) return true;
  return std::any_of(plan.outbound.begin(), plan.outbound.end(), [&](const OutboundGroup& group) {
    return has_family(family, group.is_v6) && is_closed(group.on_agent_death);
  });
}

}  // namespace

std::string capture_table(std::string_view boot_suffix, char letter) {
  return fmt::format("{}{}_{}", kTablePrefix, boot_suffix, letter);
}

std::string guard_table(std::string_view boot_suffix) {
  return fmt::format("{}{}_guard", kTablePrefix, boot_suffix);
}

std::string drain_table(std::string_view boot_suffix) {
  return fmt::format("{}{}_drain", kTablePrefix, boot_suffix);
}

std::vector<std::string> families_of(NftFamily family) {
  if (family == NftFamily::inet) return {"inet"};
  return {"ip", "ip6"};
}

std::string render_nft(const Plan& plan, const NftOptions& options) {
  Text text;
  for (const std::string& family : families_of(options.family)) {
    text.line(0, "table {} {} {{", family, capture_table(plan.boot_suffix, options.letter));
    if (options.is_owned) text.line(1, "flags owner;");
    if (plan.captures_outbound()) outbound_chain(text, plan, family);
    if (plan.captures_inbound()) inbound_chain(text, plan, family);
    text.line(0, "}}");
  }
  return text.take();
}

std::string render_nft_guard(const Plan& plan, NftFamily family) {
  if (!plan.guards_anything()) return {};
  Text text;
  for (const std::string& table_family : families_of(family)) {
    text.line(0, "table {} {} {{", table_family, guard_table(plan.boot_suffix));
    if (guards_outbound(plan, table_family)) guard_outbound(text, plan, table_family);
    if (!plan.inbound_closed.empty()) guard_inbound(text, plan);
    text.line(0, "}}");
  }
  return text.take();
}

std::string render_nft_drain(std::string_view boot_suffix,
                             NftFamily family,
                             const std::vector<std::uint16_t>& ports) {
  Text text;
  for (const std::string& table_family : families_of(family)) {
    text.line(0, "table {} {} {{", table_family, drain_table(boot_suffix));
    text.line(1, "chain nat {{");
    text.rule("type nat hook output priority -110; policy accept;");
    text.line(1, "}}");
    text.line(1, "chain track {{");
    text.rule("type filter hook output priority 0; policy accept;");
    text.rule("ct state established accept comment \"redirected to :{}\"",
              fmt::join(ports, " to :"));
    text.line(1, "}}");
    text.line(0, "}}");
  }
  return text.take();
}

}  // namespace mooring::transparent_proxy
