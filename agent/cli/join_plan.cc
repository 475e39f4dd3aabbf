#include "cli/join_plan.h"

#include <algorithm>
#include <filesystem>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "cli/join_checks.h"

namespace mooring::cli {

namespace {

using transparent_proxy::Bounds;
using transparent_proxy::PortRange;

std::string toml_text(std::string_view text) {
  std::string result = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') result += '\\';
    result += c;
  }
  return result + '"';
}

bool covers(const std::vector<PortRange>& ranges, const PortRange& wanted) {
  return std::any_of(ranges.begin(), ranges.end(), [&](const PortRange& range) {
    return range.first <= wanted.first && wanted.last <= range.last;
  });
}

bool covers(const std::vector<IpPrefix>& prefixes, const IpPrefix& wanted) {
  return std::any_of(prefixes.begin(), prefixes.end(), [&](const IpPrefix& prefix) {
    return prefix.length <= wanted.length && prefix.contains(wanted.base);
  });
}

std::string ports_text(const std::vector<PortRange>& ranges) {
  std::vector<std::string> items;
  items.reserve(ranges.size());
  for (const PortRange& range : ranges) {
    items.push_back(range.first == range.last ? fmt::format("{}", range.first)
                                              : fmt::format("\"{}-{}\"", range.first, range.last));
  }
  return fmt::format("{}", fmt::join(items, ", "));
}

}  // namespace

JoinPaths::JoinPaths(const std::string& file) : config_file(file) {
  const std::filesystem::path beside = std::filesystem::path(file).parent_path();
  folder = beside / "control-plane";
  ca_file = folder + "/ca.pem";
  token_file = folder + "/token";
  dataplane_file = folder + "/dataplane.yaml";
  settings = beside / "conf.d/10-control-plane.toml";
  bounds = beside / "capture.toml";
}

std::string proxy_url(const config::ControlPlaneProxy& proxy) {
  const bool is_v6 = proxy.host.find(':') != std::string::npos;
  return fmt::format("http://{}{}{}:{}",
                     proxy.credentials,
                     proxy.credentials.empty() ? "" : "@",
                     is_v6 ? fmt::format("[{}]", proxy.host) : proxy.host,
                     proxy.port);
}

std::string render_settings(const config::ControlPlane& control_plane, bool captures) {
  std::vector<std::string> urls;
  urls.reserve(control_plane.addresses.size());
  for (const config::ControlPlaneAddress& address : control_plane.addresses)
    urls.push_back(toml_text(url_of(address)));
  std::string text =
      fmt::format("{}; `mooring leave` removes it.\n[control_plane]\n", kWrittenByJoin);
  text += fmt::format("addresses = [{}]\n", fmt::join(urls, ", "));
  const auto add = [&text](const char* key, const std::string& value) {
    if (!value.empty()) text += fmt::format("{} = {}\n", key, toml_text(value));
  };
  add("ca_file", control_plane.ca_file);
  add("token_file", control_plane.token_file);
  add("mesh", control_plane.mesh);
  add("name", control_plane.name);
  add("workload", control_plane.workload);
  add("dataplane_file", control_plane.dataplane_file);
  if (control_plane.address) add("address", control_plane.address->to_string());
  if (control_plane.proxy) add("proxy", proxy_url(*control_plane.proxy));
  if (captures) text += "\n[capture]\nenabled = true\n";
  return text;
}

Bounds widen_bounds(Bounds bounds, const app::Dataplane& dataplane) {
  for (const app::DataplaneInbound& inbound : dataplane.inbound) {
    const PortRange wanted{inbound.port, inbound.port};
    if (!covers(bounds.inbound_ports, wanted)) bounds.inbound_ports.push_back(wanted);
  }
  const IpPrefix meshed{IpAddress::v4(0xf0000000U), 4};
  if (!covers(bounds.outbound_addresses, meshed)) bounds.outbound_addresses.push_back(meshed);
  const PortRange every;
  if (!covers(bounds.outbound_ports, every)) bounds.outbound_ports = {every};
  bounds.may_redirect_dns = true;
  return bounds;
}

std::string render_bounds(const Bounds& bounds) {
  std::vector<std::string> prefixes;
  prefixes.reserve(bounds.outbound_addresses.size());
  for (const IpPrefix& prefix : bounds.outbound_addresses)
    prefixes.push_back(toml_text(prefix.to_string()));
  std::string text = fmt::format(
      "{}: what the agent, and so the control plane, may have captured on this host.\n"
      "[inbound]\nports = [{}]\n",
      kWrittenByJoin,
      ports_text(bounds.inbound_ports));
  if (!bounds.stay_closed.empty())
    text += fmt::format("stay_closed = [{}]\n", ports_text(bounds.stay_closed));
  text += fmt::format(
      "[outbound]\naddresses = [{}]\nports = [{}]\nrefuse_other = {}\nredirect_dns = {}\n",
      fmt::join(prefixes, ", "),
      ports_text(bounds.outbound_ports),
      bounds.may_refuse_other,
      bounds.may_redirect_dns);
  return text;
}

const char* to_string(PlannedFile::Action action) noexcept {
  switch (action) {
    case PlannedFile::Action::keep:
      return "keep";
    case PlannedFile::Action::create:
      return "create";
    case PlannedFile::Action::replace:
      return "replace";
  }
  return "";
}

}  // namespace mooring::cli
