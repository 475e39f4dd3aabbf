#include "app/intercept.h"

#include <algorithm>

#include <fmt/format.h>

namespace mooring::app {

namespace {

using capture_client::InterceptConfig;

capture_client::OnAgentDeath fate(config::OnAgentDeath configured) {
  switch (configured) {
    case config::OnAgentDeath::open:
      return capture_client::OnAgentDeath::open;
    case config::OnAgentDeath::closed:
      return capture_client::OnAgentDeath::closed;
  }
  return capture_client::OnAgentDeath::closed;
}

capture_client::OtherTraffic other_traffic(config::OtherTraffic configured) {
  switch (configured) {
    case config::OtherTraffic::pass:
      return capture_client::OtherTraffic::pass;
    case config::OtherTraffic::refuse:
      return capture_client::OtherTraffic::refuse;
  }
  return capture_client::OtherTraffic::pass;
}

IpPrefix host_prefix(const IpAddress& ip) {
  return {ip, static_cast<std::uint8_t>(ip.is_v4() ? 32 : 128)};
}

std::vector<IpPrefix> prefixes_of(const config::Upstream& upstream,
                                  const ResolveName& resolve,
                                  std::vector<std::string>& notes) {
  std::vector<IpPrefix> prefixes;
  for (const config::Destination& destination : upstream.addresses) {
    if (destination.prefix && destination.prefix->base.is_loopback()) {
      notes.push_back(fmt::format("upstream {}: {} is loopback and is not captured",
                                  upstream.name,
                                  destination.prefix->to_string()));
    } else if (destination.prefix) {
      prefixes.push_back(*destination.prefix);
    } else {
      const std::vector<IpAddress> found =
          resolve ? resolve(destination.host_name) : std::vector<IpAddress>{};
      for (const IpAddress& ip : found)
        prefixes.push_back(host_prefix(ip));
      if (!found.empty()) continue;
      notes.push_back(
          fmt::format("upstream {}: {} has no address at the moment and is not captured",
                      upstream.name,
                      destination.host_name));
    }
  }
  return prefixes;
}

template <class Element>
void sort_unique(std::vector<Element>& list) {
  std::sort(list.begin(), list.end());
  list.erase(std::unique(list.begin(), list.end()), list.end());
}

Diagnostic too_many(
    const char* path, std::size_t count, std::size_t most, const char* what, const char* hint) {
  return {path, fmt::format("{} {}, at most {} can be captured", count, what, most), hint};
}

Checked<void> sort_and_bound(InterceptConfig& wanted, const char* outbound, const char* inbound) {
  sort_unique(wanted.outbound);
  sort_unique(wanted.inbound);
  sort_unique(wanted.exclude_addresses);
  sort_unique(wanted.exclude_ports);
  using namespace capture_client;
  if (wanted.outbound.size() > kMaxOutboundTargets) {
    return fail(too_many(outbound,
                         wanted.outbound.size(),
                         kMaxOutboundTargets,
                         "addresses times ports",
                         "name CIDR blocks instead of single addresses"));
  }
  if (wanted.inbound.size() > kMaxInboundPorts) {
    return fail(too_many(
        inbound, wanted.inbound.size(), kMaxInboundPorts, "services", "use listen for some"));
  }
  if (std::max(wanted.exclude_addresses.size(), wanted.exclude_ports.size()) > kMaxExclusions) {
    return fail(too_many("[capture]",
                         std::max(wanted.exclude_addresses.size(), wanted.exclude_ports.size()),
                         kMaxExclusions,
                         "exclusions",
                         "name CIDR blocks instead of single addresses"));
  }
  return {};
}

InterceptConfig basis(const config::Capture& capture) {
  InterceptConfig wanted;
  wanted.outbound_port = capture.outbound_port;
  wanted.inbound_port = capture.inbound_port;
  wanted.exclude_addresses = capture.exclude_addresses;
  wanted.exclude_ports = capture.exclude_ports;
  wanted.other = other_traffic(capture.other);
  wanted.other_on_agent_death = fate(capture.outbound_on_agent_death);
  return wanted;
}

// Class E: nobody has such an address, so that the agent may refuse what no listener is there for.
bool is_virtual(const IpAddress& ip) {
  return ip.is_v4() && (ip.bytes()[0] & 0xf0U) == 0xf0U;
}

IpPrefix captured_prefix(const IpPrefix& meant) {
  if (!is_virtual(meant.base)) return meant;
  return {IpAddress::v4(0xf0000000), 4};
}

bool is_strict(const snapshot::Listener& listener) {
  return std::all_of(listener.chains.begin(), listener.chains.end(), [](const auto& chain) {
    return chain.tls.has_value() || !chain.not_served.empty();
  });
}

}  // namespace

Checked<Interception> intercept_config(const config::AgentConfig& config,
                                       const ResolveName& resolve) {
  const config::Capture& capture = config.capture;
  Interception result;
  InterceptConfig& wanted = result.config;
  wanted = basis(capture);
  for (const config::Upstream& upstream : config.upstreams) {
    for (const IpPrefix& prefix : prefixes_of(upstream, resolve, result.notes)) {
      for (const std::uint16_t port : upstream.ports) {
        wanted.outbound.push_back({prefix, port, fate(capture.outbound_on_agent_death)});
      }
    }
  }
  for (const config::Service& service : config.services) {
    if (service.listen) continue;
    const bool is_strict = service.mode == config::TlsMode::strict;
    wanted.inbound.push_back(
        {service.port,
         fate(is_strict ? capture.strict_on_agent_death : capture.permissive_on_agent_death)});
  }
  if (auto is_bounded = sort_and_bound(wanted, "[[upstream]]", "[[service]]"); !is_bounded)
    return fail(is_bounded.error());
  return result;
}

Checked<Interception> intercept_config(const snapshot::Resources& resources,
                                       const config::Capture& capture) {
  Interception result;
  result.config = basis(capture);
  for (const snapshot::Listener& listener : resources.listeners) {
    const bool is_inbound = listener.direction == snapshot::Direction::inbound;
    const auto inbound_fate = fate(is_strict(listener) ? capture.strict_on_agent_death
                                                       : capture.permissive_on_agent_death);
    for (const snapshot::DestinationMatch& match : listener.match) {
      if (match.port == 0 || match.prefix.base.is_loopback()) continue;
      if (is_inbound) {
        result.config.inbound.push_back({match.port, inbound_fate});
      } else {
        result.config.outbound.push_back(
            {captured_prefix(match.prefix), match.port, fate(capture.outbound_on_agent_death)});
      }
    }
  }
  const auto bounded = sort_and_bound(result.config, "control plane", "control plane");
  if (!bounded) return fail(bounded.error());
  return result;
}

}  // namespace mooring::app
