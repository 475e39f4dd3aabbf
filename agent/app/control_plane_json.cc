#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>

#include "app/reports.h"
#include "core/escape.h"

namespace mooring::app {

namespace {

using Json = nlohmann::ordered_json;

// A control plane may reject thousands at once; one screen is for people.
constexpr std::size_t kMaxShown = 100;

std::string time_text(const std::optional<WallTime>& time) {
  return time ? fmt::format("{:%FT%TZ}", std::chrono::floor<std::chrono::seconds>(*time)) : "";
}

template <class List, class ToJson>
Json first_of(const List& list, ToJson to_json) {
  Json json = Json::array();
  for (std::size_t i = 0; i < std::min(list.size(), kMaxShown); ++i)
    json.push_back(to_json(list[i]));
  return json;
}

Json names_json(const std::vector<std::string>& names) {
  return first_of(names, [](const std::string& name) { return Json(escape_peer_text(name)); });
}

Json update_json(const std::optional<LastUpdate>& update) {
  if (!update) return nullptr;
  return {{"at", time_text(update->at)},
          {"changes", first_of(update->changes, [](const ResourceChange& change) {
             return Json{{"type", change.type},
                         {"added", names_json(change.added)},
                         {"changed", names_json(change.changed)},
                         {"removed", names_json(change.removed)}};
           })}};
}

Json server_json(const SecretServer& server, WallTime now) {
  return {{"cluster", escape_peer_text(server.cluster)},
          {"path", escape_peer_text(server.path)},
          {"state", server.is_connected ? "connected" : "waiting"},
          {"last_error", server.last_error},
          {"remedy", server.remedy},
          {"secrets", first_of(server.secrets, [&](const ServedSecret& secret) {
             const auto age = secret.received_at ? now - *secret.received_at : WallTime::duration{};
             return Json{
                 {"name", escape_peer_text(secret.name)},
                 {"received_at", time_text(secret.received_at)},
                 {"received_s", std::chrono::duration_cast<std::chrono::seconds>(age).count()},
                 {"last_error", secret.last_error},
                 {"remedy", secret.remedy}};
           })}};
}

}  // namespace

const char* to_string(ControlPlaneState::Phase phase) noexcept {
  switch (phase) {
    case ControlPlaneState::Phase::connecting:
      return "connecting";
    case ControlPlaneState::Phase::bootstrapping:
      return "bootstrapping";
    case ControlPlaneState::Phase::waiting:
      return "waiting";
    case ControlPlaneState::Phase::live:
      return "live";
  }
  return "";
}

Json control_plane_json(const Report& report) {
  if (!report.control_plane || !report.config.control_plane) return nullptr;
  const ControlPlaneState& state = *report.control_plane;
  return {{"state", to_string(state.phase)},
          {"address", state.address},
          {"mesh", report.config.control_plane->mesh},
          {"dataplane", report.config.control_plane->name},
          {"since", time_text(state.since)},
          {"since_s",
           std::chrono::duration_cast<std::chrono::seconds>(report.now - state.since).count()},
          {"last_error", state.last_error},
          {"remedy", state.remedy},
          {"received_at", time_text(state.received_at)},
          {"received_s",
           state.received_at
               ? std::chrono::duration_cast<std::chrono::seconds>(report.now - *state.received_at)
                     .count()
               : 0},
          {"from_disk", state.is_from_disk},
          {"resources",
           first_of(state.resources,
                    [](const ResourceCount& count) {
                      return Json{{"type", count.type},
                                  {"served", count.served},
                                  {"accepted", count.accepted},
                                  {"rejected", count.rejected}};
                    })},
          {"rejected",
           first_of(state.rejected,
                    [](const RejectedResource& rejected) {
                      return Json{{"type", rejected.type},
                                  {"name", escape_peer_text(rejected.name)},
                                  {"field", escape_peer_text(rejected.field)},
                                  {"reason", escape_peer_text(rejected.reason)},
                                  {"last_good", rejected.has_last_good}};
                    })},
          {"rejected_count", state.rejected.size()},
          {"beyond_bounds", names_json(state.beyond_bounds)},
          {"secret_servers",
           first_of(state.secret_servers,
                    [&](const SecretServer& server) { return server_json(server, report.now); })},
          {"last_update", update_json(state.last_update)}};
}

}  // namespace mooring::app
