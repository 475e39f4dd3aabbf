#include <fmt/chrono.h>
#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
#include <nlohmann/json.hpp>

#include "app/reports.h"
#include "app/status_counts.h"
#include "observe/record_json.h"

namespace mooring::app {

namespace {

using Json = nlohmann::ordered_json;

const char* fate(config::OnAgentDeath choice) {
  return choice == config::OnAgentDeath::open ? "open" : "closed";
}

std::string time_text(WallTime time) {
  return fmt::format("{:%FT%TZ}", std::chrono::floor<std::chrono::seconds>(time));
}

std::int64_t seconds(WallTime::duration duration) {
  return std::chrono::duration_cast<std::chrono::seconds>(duration).count();
}

Json identity_json(const Report& report) {
  const identity::Presented* own = report.snapshot.own_identity();
  if (own == nullptr) return nullptr;
  const std::optional<ControlPlaneState>& plane = report.control_plane;
  return {{"spiffe_id", own->spiffe_id},
          {"issuer", identity::issuer(*own->chain.front())},
          {"not_after", time_text(own->not_after)},
          {"expires_in_s", seconds(own->not_after - report.now)},
          {"source", report.config.identity ? report.config.identity->svid_file : ""},
          {"key", plane ? plane->key_origin : ""},
          {"renews_at", plane && plane->renews_at ? time_text(*plane->renews_at) : ""}};
}

Json capture_json(const Report& report) {
  const config::Capture& capture = report.config.capture;
  return {{"state", report.capture.state},
          {"backend", report.capture.backend},
          {"outbound", report.capture.outbound},
          {"inbound", report.capture.inbound},
          {"on_agent_death",
           {{"outbound", fate(capture.outbound_on_agent_death)},
            {"permissive", fate(capture.permissive_on_agent_death)},
            {"strict", fate(capture.strict_on_agent_death)}}},
          {"repairs", report.capture.repairs},
          {"problem", report.capture.problem}};
}

const char* service_state(const Report& report, const config::Service& service) {
  if (report.snapshot.own_identity() == nullptr) return "no_identity";
  if (!service.listen && report.capture.state != "active") return "not_captured";
  return application_refuses(report.stats, service) ? "failed" : "ready";
}

Json service_json(const Report& report, const config::Service& service) {
  const ServiceCounts counts = count_listener(report.stats, "inbound_" + service.name);
  return {{"name", service.name},
          {"port", service.port},
          {"mode", service.mode == config::TlsMode::strict ? "strict" : "permissive"},
          {"target", service.target ? service.target->to_string() : "host"},
          {"listen", service.listen ? service.listen->to_string() : ""},
          {"state", service_state(report, service)},
          {"connections", counts.connections},
          {"accepted", counts.accepted},
          {"denied", counts.denied},
          {"shadow_denied", counts.shadow_denied},
          {"failed", counts.failed}};
}

Json endpoint_json(const std::string& address, const char* state, std::uint64_t connections) {
  return {{"address", address}, {"state", state}, {"connections", connections}};
}

Json endpoints_json(const Report& report, const config::Upstream& upstream) {
  Json list = Json::array();
  const auto add = [&](const SocketAddress& address) {
    const EndpointReport state = report.endpoint(upstream.name, address);
    list.push_back(endpoint_json(address.to_string(), endpoint_state(state), state.connections));
  };
  for (const config::EndpointAddress& endpoint : upstream.endpoints) {
    if (endpoint.address) {
      add(*endpoint.address);
      continue;
    }
    const auto found = report.names.find(endpoint.host_name);
    if (found == report.names.end() || found->second.empty()) {
      list.push_back(
          endpoint_json(fmt::format("{}:{}", endpoint.host_name, endpoint.port), "unresolved", 0));
      continue;
    }
    for (const IpAddress& ip : found->second)
      add({ip, endpoint.port});
  }
  return list;
}

Json upstream_json(const Report& report, const config::Upstream& upstream) {
  const UpstreamCounts counts = count_cluster(report.stats, upstream.name);
  Json addresses = Json::array();
  for (const config::Destination& destination : upstream.addresses) {
    addresses.push_back(destination.prefix ? destination.prefix->to_string()
                                           : destination.host_name);
  }
  return {{"name", upstream.name},
          {"addresses", std::move(addresses)},
          {"ports", upstream.ports},
          {"endpoints", endpoints_json(report, upstream)},
          {"connections", counts.connections},
          {"opened", counts.opened},
          {"failures", counts.failures}};
}

Json host_json(const Report& report) {
  std::uint64_t connections = 0;
  for (std::size_t i = 0; i < report.stats.workers(); ++i) {
    connections += report.stats.worker(i).connections_active.value();
  }
  return {{"name", report.config.host.name},
          {"version", MOORING_VERSION},
          {"replaced", report.is_replaced},
          {"uptime_s", seconds(report.now - report.started)},
          {"pid", ::getpid()},
          {"workers", report.stats.workers()},
          {"connections", connections}};
}

}  // namespace

std::string status_json(const Report& report) {
  Json services = Json::array();
  for (const config::Service& service : report.config.services)
    services.push_back(service_json(report, service));
  Json upstreams = Json::array();
  for (const config::Upstream& upstream : report.config.upstreams)
    upstreams.push_back(upstream_json(report, upstream));
  if (report.control_plane) {
    services = mesh_services_json(report, snapshot::Direction::inbound);
    upstreams = mesh_services_json(report, snapshot::Direction::outbound);
  }
  Json list = Json::array();
  for (const Problem& problem : problems(report)) {
    list.push_back({{"severity", problem.is_error ? "error" : "warning"}, {"text", problem.text}});
  }
  const ConfigState& state = report.config_state;
  return observe::dump({{"ready", report.ready},
                        {"host", host_json(report)},
                        {"control_plane", control_plane_json(report)},
                        {"identity", identity_json(report)},
                        {"capture", capture_json(report)},
                        {"services", std::move(services)},
                        {"upstreams", std::move(upstreams)},
                        {"problems", std::move(list)},
                        {"config",
                         {{"path", state.path},
                          {"loaded_at", time_text(state.loaded_at)},
                          {"generation", state.generation},
                          {"last_error", state.last_error}}}});
}

}  // namespace mooring::app
