#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <string_view>

#include "app/reports.h"
#include "app/status_counts.h"
#include "core/escape.h"

namespace mooring::app {

namespace {

std::string with_remedy(const std::string& text, const std::string& remedy) {
  return remedy.empty() ? text : text + " (" + remedy + ")";
}

void add_secret_server(std::vector<Problem>& list, const SecretServer& server) {
  const std::string cluster = escape_peer_text(server.cluster);
  if (!server.last_error.empty()) {
    list.push_back(
        {true,
         fmt::format("secrets of {}: {}", cluster, with_remedy(server.last_error, server.remedy))});
  }
  for (const ServedSecret& secret : server.secrets) {
    if (secret.last_error.empty()) continue;
    list.push_back({true,
                    fmt::format("secret {} of {}: the server {}",
                                escape_peer_text(secret.name),
                                cluster,
                                with_remedy(secret.last_error, secret.remedy))});
  }
}

void add_control_plane(std::vector<Problem>& list, const ControlPlaneState& state, WallTime now) {
  const bool is_live = state.phase == ControlPlaneState::Phase::live;
  if (!is_live && !state.last_error.empty()) {
    list.push_back(
        {true,
         fmt::format(
             "control plane {}: {}", state.address, with_remedy(state.last_error, state.remedy))});
  }
  if (state.is_from_disk && state.received_at) {
    const auto age = std::chrono::duration_cast<std::chrono::minutes>(now - *state.received_at);
    list.push_back({false,
                    fmt::format("what is served was received {} minutes ago, before this start",
                                age.count())});
  }
  constexpr std::size_t kMaxNamed = 20;  // `control_plane.rejected` has more of them
  for (std::size_t i = 0; i < std::min(state.rejected.size(), kMaxNamed); ++i) {
    const RejectedResource& rejected = state.rejected[i];
    list.push_back({!rejected.has_last_good,
                    fmt::format("{} {}: {}: {}; {}",
                                rejected.type,
                                escape_peer_text(rejected.name),
                                escape_peer_text(rejected.field),
                                escape_peer_text(rejected.reason),
                                rejected.has_last_good ? "its last good version is served"
                                                       : "its addresses are refused")});
  }
  for (const SecretServer& server : state.secret_servers)
    add_secret_server(list, server);
  for (const std::string& wanted : state.beyond_bounds) {
    list.push_back({false,
                    fmt::format("the control plane wants {} captured, and "
                                "/etc/mooring/capture.toml does not allow it",
                                escape_peer_text(wanted))});
  }
}

void add_identity(std::vector<Problem>& list, const Report& report) {
  const identity::Presented* own = report.snapshot.own_identity();
  if (report.control_plane) {
    add_control_plane(list, *report.control_plane, report.now);
    // Of Kuma's; another xDS server may do without.
    const auto& plane = report.config.control_plane;
    if (own == nullptr && plane && plane->bootstrap_file.empty())
      list.push_back({true, "this host has no identity from the control plane yet"});
  } else if (!report.config.identity) {
    list.push_back({true, "this host has no identity: [identity] is not configured"});
  } else if (!report.identity_problem.empty()) {
    list.push_back(
        {true,
         (own != nullptr ? "identity not replaced: " : "no identity: ") + report.identity_problem});
  }
  if (own == nullptr) return;
  const auto life = own->not_after - own->not_before;
  const auto rest = own->not_after - report.now;
  if (rest <= WallTime::duration::zero()) {
    list.push_back({true, fmt::format("the certificate of {} has expired", own->spiffe_id)});
  } else if (own->not_before > report.now) {
    list.push_back({true,
                    fmt::format("the certificate of {} is not yet valid; is the clock right?",
                                own->spiffe_id)});
  } else if (rest < life / 10) {
    const auto minutes = std::chrono::duration_cast<std::chrono::minutes>(rest).count();
    list.push_back(
        {false,
         fmt::format("the certificate of {} expires in {} minutes", own->spiffe_id, minutes)});
  }
}

std::string_view trust_domain_of(std::string_view id) {
  id.remove_prefix(std::min(id.size(), std::string_view("spiffe://").size()));
  return id.substr(0, id.find('/'));
}

bool has_bundle(const snapshot::Snapshot& snapshot, std::string_view trust_domain) {
  return std::any_of(
      snapshot.secrets.begin(), snapshot.secrets.end(), [&](const snapshot::SecretPtr& secret) {
        return secret->trusted && secret->trusted->bundles.contains(trust_domain);
      });
}

void add_missing_bundles(std::vector<Problem>& list,
                         const snapshot::Snapshot& snapshot,
                         const std::string& what,
                         const std::vector<config::SpiffePattern>& patterns) {
  for (const config::SpiffePattern& pattern : patterns) {
    const std::string_view domain = trust_domain_of(pattern.text);
    if (has_bundle(snapshot, domain)) continue;
    list.push_back(
        {false, fmt::format("{}: there is no bundle for trust domain {}", what, domain)});
    return;
  }
}

}  // namespace

bool application_refuses(const observe::StatsRegistry& stats, const config::Service& service) {
  return last_connect_failed(stats, "localhost_" + service.name);
}

std::vector<Problem> problems(const Report& report) {
  std::vector<Problem> list;
  const std::string& last_error = report.config_state.last_error;
  if (!last_error.empty())
    list.push_back({true, "the newest configuration was refused: " + last_error});
  if (report.is_replaced) {
    list.push_back({false,
                    "the package was upgraded, and the version before still runs; to use the new "
                    "one: systemctl restart mooring-net mooringd"});
  }
  add_identity(list, report);
  if (!report.capture.problem.empty()) list.push_back({true, "capture: " + report.capture.problem});
  for (const snapshot::Rejected& rejected : report.rejected) {
    list.push_back(
        {true, fmt::format("{}: {}: {}", rejected.resource, rejected.field, rejected.reason)});
  }
  for (const auto& service : report.config.services) {
    if (!application_refuses(report.stats, service)) continue;
    list.push_back(
        {true,
         fmt::format("service {}: the application does not accept connections on port {}",
                     service.name,
                     service.target ? service.target->port : service.port)});
  }
  if (report.snapshot.own_identity() != nullptr) {
    for (const auto& service : report.config.services) {
      add_missing_bundles(list, report.snapshot, "service " + service.name, service.allow);
    }
    for (const auto& upstream : report.config.upstreams) {
      add_missing_bundles(list, report.snapshot, "upstream " + upstream.name, upstream.spiffe_ids);
    }
  }
  for (const std::string& name : snapshot::host_names(report.config)) {
    const auto found = report.names.find(name);
    if (found == report.names.end() || found->second.empty()) {
      list.push_back({true, fmt::format("host name {} has no address", name)});
    }
  }
  for (const observe::SinkProblem& problem : report.sink_problems) {
    list.push_back({false,
                    fmt::format("access log {}: its lines wait or are lost: {}",
                                escape_peer_text(problem.sink),
                                problem.text)});
  }
  for (const std::string& warning : report.config.warnings)
    list.push_back({false, warning});
  return list;
}

}  // namespace mooring::app
