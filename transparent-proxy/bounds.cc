#include "transparent-proxy/bounds.h"

#include <sys/stat.h>

#include <algorithm>

#include <fmt/format.h>
#include <toml++/toml.h>

#include "core/file.h"
#include "core/toml_scan.h"

namespace mooring::transparent_proxy {

namespace {

using capture_client::InboundPort;
using capture_client::OutboundTarget;

constexpr std::size_t kMaxFileBytes = std::size_t{64} * 1024;
// "inbound.ports" and the like; this format has six keys.
constexpr std::size_t kMaxDots = 100;

class Reader {
 public:
  explicit Reader(std::string path) : path_(std::move(path)) {}

  void complain(const toml::node& node, const std::string& message) {
    if (problem_) return;
    const auto& at = node.source().begin;
    problem_ = Diagnostic{
        fmt::format(
            "{}:{}:{}", path_, static_cast<unsigned>(at.line), static_cast<unsigned>(at.column)),
        message,
        ""};
  }

  void ports(const toml::node& node, std::vector<PortRange>& out) {
    each(node, [&](const toml::node& item) {
      const auto range = port_range(item);
      if (!range)
        return complain(item, "is neither a port (1 to 65535) nor a range like \"8000-8099\"");
      out.push_back(*range);
    });
  }
  void addresses(const toml::node& node, std::vector<IpPrefix>& out) {
    each(node, [&](const toml::node& item) {
      const auto text = item.value<std::string>();
      const auto prefix = text ? parse_prefix(*text) : Result<IpPrefix>(fail(Errc::bad_input, ""));
      if (!prefix) return complain(item, "is not an address block like \"10.0.0.0/8\"");
      out.push_back(*prefix);
    });
  }
  void flag(const toml::node& node, bool& out) {
    const auto value = node.value_exact<bool>();
    if (!value) return complain(node, "is neither true nor false");
    out = *value;
  }
  [[nodiscard]] const std::optional<Diagnostic>& problem() const { return problem_; }

 private:
  template <class Use>
  void each(const toml::node& node, Use use) {
    const toml::array* list = node.as_array();
    if (list == nullptr) return complain(node, "is not a list");
    for (const toml::node& item : *list)
      use(item);
  }

  static std::optional<PortRange> port_range(const toml::node& item) {
    if (const auto number = item.value_exact<std::int64_t>()) {
      if (*number < 1 || *number > 65535) return std::nullopt;
      const auto port = static_cast<std::uint16_t>(*number);
      return PortRange{port, port};
    }
    const auto text = item.value_exact<std::string>();
    if (!text) return std::nullopt;
    const std::size_t dash = text->find('-');
    const auto first = parse_port(std::string_view(*text).substr(0, dash));
    const auto last =
        dash == std::string::npos ? first : parse_port(std::string_view(*text).substr(dash + 1));
    if (!first || !last || *first > *last) return std::nullopt;
    return PortRange{*first, *last};
  }

  std::string path_;
  std::optional<Diagnostic> problem_;
};

struct Key : BoundsKey {
  void (*read)(Reader&, const toml::node&, Bounds&) = nullptr;
};

constexpr std::string_view kPortList = "list: ports, or ranges like \"8000-8099\"";

constexpr Key kKeys[] = {
    {{"inbound", "ports", kPortList, "Services that may be captured"},
     [](Reader& r, const toml::node& n, Bounds& b) { r.ports(n, b.inbound_ports); }},
    {{"inbound",
      "stay_closed",
      kPortList,
      "Of these, what may never be opened because the agent is gone"},
     [](Reader& r, const toml::node& n, Bounds& b) { r.ports(n, b.stay_closed); }},
    {{"outbound",
      "addresses",
      "list: address blocks like \"10.0.0.0/8\"",
      "Destinations that may be captured"},
     [](Reader& r, const toml::node& n, Bounds& b) { r.addresses(n, b.outbound_addresses); }},
    {{"outbound", "ports", kPortList, "Their ports"},
     [](Reader& r, const toml::node& n, Bounds& b) { r.ports(n, b.outbound_ports); }},
    {{"outbound", "refuse_other", "true or false", "Whether other outbound traffic may be refused"},
     [](Reader& r, const toml::node& n, Bounds& b) { r.flag(n, b.may_refuse_other); }},
    {{"outbound",
      "redirect_dns",
      "true or false",
      "Whether queries to the host's resolvers may go to the agent, which answers the names of the "
      "mesh and hands every other one on"},
     [](Reader& r, const toml::node& n, Bounds& b) { r.flag(n, b.may_redirect_dns); }},
};

void read_table(Reader& reader, std::string_view name, const toml::node& node, Bounds& bounds) {
  const toml::table* table = node.as_table();
  if (table == nullptr) return reader.complain(node, fmt::format("{} is not a table", name));
  for (const auto& [key, value] : *table) {
    const auto known = std::find_if(std::begin(kKeys), std::end(kKeys), [&](const Key& candidate) {
      return candidate.table == name && candidate.name == key.str();
    });
    if (known == std::end(kKeys)) {
      reader.complain(value, fmt::format("unknown key {}.{}", name, key.str()));
    } else {
      known->read(reader, value, bounds);
    }
  }
}

bool within(std::uint16_t port, const std::vector<PortRange>& ranges) {
  return std::any_of(ranges.begin(), ranges.end(), [&](const PortRange& range) {
    return range.first <= port && port <= range.last;
  });
}

bool covers(const IpPrefix& outer, const IpPrefix& inner) {
  return outer.length <= inner.length && outer.contains(inner.base);
}

/// Root's `closed` may not become `open`; the other way is a restriction.
bool allows(OnAgentDeath have, OnAgentDeath wanted) {
  return have == wanted || have == OnAgentDeath::open;
}

bool has_inbound(const InterceptConfig& config, const InboundPort& wanted) {
  return std::any_of(config.inbound.begin(), config.inbound.end(), [&](const InboundPort& have) {
    return have.port == wanted.port && allows(have.on_agent_death, wanted.on_agent_death);
  });
}

bool has_outbound(const InterceptConfig& config, const OutboundTarget& wanted) {
  return std::any_of(
      config.outbound.begin(), config.outbound.end(), [&](const OutboundTarget& have) {
        return have.port == wanted.port && covers(have.prefix, wanted.prefix) &&
               allows(have.on_agent_death, wanted.on_agent_death);
      });
}

tl::unexpected<Diagnostic> not_allowed(const std::string& what, const std::string& why) {
  return fail(Diagnostic{what, why, ""});
}

std::string name_of(const OutboundTarget& target) {
  return fmt::format("outbound {} port {}", target.prefix.to_string(), target.port);
}

Checked<void> check_survivable(std::string_view text, const std::string& path) {
  const TomlScan scan = scan_toml(text);
  if (scan.dots > kMaxDots) return fail(Diagnostic{path, "has too many dotted keys", ""});
  if (scan.problem == nullptr) return {};
  const TextPlace at = text_place(text, scan.offset);
  return fail(Diagnostic{fmt::format("{}:{}:{}", path, at.line, at.column), scan.problem, ""});
}

}  // namespace

Checked<Bounds> parse_bounds(std::string_view text, const std::string& path) {
  if (auto ok = check_survivable(text, path); !ok) return fail(ok.error());
  toml::table document;
  // The packaged library reports a syntax error by an exception; ours is a value.
  try {
    document = toml::parse(text, path);
  } catch (const toml::parse_error& error) {
    const auto& at = error.source().begin;
    return fail(Diagnostic{
        fmt::format(
            "{}:{}:{}", path, static_cast<unsigned>(at.line), static_cast<unsigned>(at.column)),
        std::string(error.description()),
        ""});
  }
  Bounds bounds;
  Reader reader(path);
  for (const auto& [name, node] : document) {
    if (name != "inbound" && name != "outbound") {
      reader.complain(node, fmt::format("unknown key {}", name.str()));
    } else {
      read_table(reader, name.str(), node, bounds);
    }
  }
  if (const auto& problem = reader.problem()) return fail(*problem);
  return bounds;
}

std::vector<BoundsKey> bounds_keys() {
  return {std::begin(kKeys), std::end(kKeys)};
}

Checked<Bounds> load_bounds(const std::string& path) {
  struct stat info{};
  if (::stat(path.c_str(), &info) != 0) return Bounds{};
  if (info.st_uid != 0 || (info.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
    return fail(Diagnostic{
        path, "must belong to root and be writable by nobody else", "chown root, chmod 0644"});
  }
  const auto text = read_file(path, kMaxFileBytes);
  if (!text) return fail(Diagnostic{path, describe(text.error()), ""});
  return parse_bounds(*text, path);
}

Checked<void> check_allowed(const InterceptConfig& wanted,
                            const Bounds& bounds,
                            const InterceptConfig* set_by_root) {
  for (const InboundPort& inbound : wanted.inbound) {
    if (set_by_root != nullptr && has_inbound(*set_by_root, inbound)) continue;
    const std::string name = fmt::format("inbound port {}", inbound.port);
    if (!within(inbound.port, bounds.inbound_ports))
      return not_allowed(name, "is not in inbound.ports of capture.toml");
    if (inbound.on_agent_death == OnAgentDeath::open && within(inbound.port, bounds.stay_closed)) {
      return not_allowed(
          name, "may not be opened when the agent is gone: inbound.stay_closed of capture.toml");
    }
  }
  for (const OutboundTarget& target : wanted.outbound) {
    if (set_by_root != nullptr && has_outbound(*set_by_root, target)) continue;
    const bool is_known =
        std::any_of(bounds.outbound_addresses.begin(),
                    bounds.outbound_addresses.end(),
                    [&](const IpPrefix& allowed) { return covers(allowed, target.prefix); });
    if (!is_known)
      return not_allowed(name_of(target), "is not in outbound.addresses of capture.toml");
    if (!within(target.port, bounds.outbound_ports))
      return not_allowed(name_of(target), "is not in outbound.ports of capture.toml");
  }
  const bool root_refuses = set_by_root != nullptr && set_by_root->other == OtherTraffic::refuse;
  if (wanted.other == OtherTraffic::refuse && !bounds.may_refuse_other && !root_refuses) {
    return not_allowed("other traffic",
                       "may not be refused: outbound.refuse_other of capture.toml");
  }
  if (wanted.dns_port != 0 && !allows_dns(bounds, set_by_root)) {
    return not_allowed("queries for names",
                       "may not be redirected: outbound.redirect_dns of capture.toml");
  }
  return {};
}

bool allows_dns(const Bounds& bounds, const InterceptConfig* set_by_root) {
  return bounds.may_redirect_dns || (set_by_root != nullptr && set_by_root->dns_port != 0);
}

Checked<void> check_narrower(const InterceptConfig& narrower, const InterceptConfig& wider) {
  for (const InboundPort& inbound : narrower.inbound) {
    if (!has_inbound(wider, inbound))
      return not_allowed(fmt::format("inbound port {}", inbound.port), "is not captured now");
  }
  for (const OutboundTarget& target : narrower.outbound) {
    if (!has_outbound(wider, target) && wider.other == OtherTraffic::pass) {
      return not_allowed(name_of(target), "is not captured now");
    }
  }
  if (narrower.other == OtherTraffic::refuse && wider.other == OtherTraffic::pass) {
    return not_allowed("other traffic", "is not captured now");
  }
  if (narrower.dns_port != 0 && wider.dns_port == 0) {
    return not_allowed("queries for names", "are not redirected now");
  }
  if (narrower.outbound_port != wider.outbound_port ||
      narrower.inbound_port != wider.inbound_port ||
      (narrower.dns_port != 0 && narrower.dns_port != wider.dns_port)) {
    return not_allowed("agent's ports", "are not those of now");
  }
  return {};
}

}  // namespace mooring::transparent_proxy
