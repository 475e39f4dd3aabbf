// What a control plane's source says of itself.
#include <algorithm>
#include <array>

#include "app/control_plane.h"

namespace mooring::app {

namespace {

using discovery::ResourceKind;
using discovery::XdsPhase;

const char* type_name(ResourceKind kind) {
  switch (kind) {
    case ResourceKind::cluster:
      return "clusters";
    case ResourceKind::endpoints:
      return "endpoints";
    case ResourceKind::secret:
      return "secrets";
    case ResourceKind::listener:
      return "listeners";
  }
  return "";
}

ControlPlaneState::Phase phase_of(XdsPhase phase) {
  switch (phase) {
    case XdsPhase::bootstrapping:
      return ControlPlaneState::Phase::bootstrapping;
    case XdsPhase::connecting:
    case XdsPhase::waiting:
      return ControlPlaneState::Phase::connecting;
    case XdsPhase::stopped:
    case XdsPhase::refused:
      return ControlPlaneState::Phase::waiting;
    case XdsPhase::live:
      return ControlPlaneState::Phase::live;
  }
  return ControlPlaneState::Phase::waiting;
}

bool serves_last_good(const snapshot::Resources& resources, const std::string& listener) {
  const auto found = std::find_if(resources.listeners.begin(),
                                  resources.listeners.end(),
                                  [&](const auto& known) { return known.name == listener; });
  if (found == resources.listeners.end()) return false;
  return std::any_of(found->chains.begin(), found->chains.end(), [](const auto& chain) {
    return chain.not_served.empty();
  });
}

std::vector<SecretServer> secret_servers(const discovery::XdsClient& client) {
  std::vector<SecretServer> servers;
  for (discovery::SdsServerState& known : client.secret_servers()) {
    SecretServer& server = servers.emplace_back();
    server.cluster = std::move(known.cluster);
    server.path = std::move(known.path);
    server.is_connected = known.is_connected;
    server.last_error = std::move(known.problem);
    server.remedy = std::move(known.remedy);
    for (discovery::SdsSecretState& secret : known.secrets) {
      server.secrets.push_back({std::move(secret.name),
                                secret.received,
                                std::move(secret.problem),
                                std::move(secret.remedy)});
    }
  }
  return servers;
}

}  // namespace

void ControlPlane::note_update(const discovery::Changes& changes) {
  LastUpdate update;
  update.at = clock_.wall();
  for (const ResourceKind kind : discovery::kResourceKinds) {
    if (changes.of(kind).empty()) continue;
    std::set<std::string>& known = known_[kind];
    ResourceChange change;
    change.type = type_name(kind);
    for (const std::string& name : changes.of(kind)) {
      if (!client_->store().serves(kind, name)) {
        // A cluster that is a unix socket never was among those that are served.
        if (known.erase(name) != 0) change.removed.push_back(name);
      } else if (known.insert(name).second) {
        change.added.push_back(name);
      } else {
        change.changed.push_back(name);
      }
    }
    accepted_[kind] += changes.of(kind).size();
    const bool is_seen =
        !change.added.empty() || !change.changed.empty() || !change.removed.empty();
    if (is_seen) update.changes.push_back(std::move(change));
  }
  last_update_ = std::move(update);
}

ControlPlaneState ControlPlane::state() const {
  ControlPlaneState state;
  if (!client_) {
    state.phase = ControlPlaneState::Phase::waiting;
    state.last_error = problem_;
    return state;
  }
  const discovery::XdsState& known = client_->state();
  state.phase = phase_of(known.phase);
  state.address = known.control_plane;
  state.since = known.since;
  state.last_error = known.problem;
  state.remedy = known.remedy;
  state.is_from_disk = !known.has_listeners && known.last_good.has_value();
  state.received_at = known.last_response ? known.last_response : known.last_good;
  for (const ResourceKind kind : discovery::kResourceKinds) {
    ResourceCount count;
    count.type = type_name(kind);
    if (const auto names = known_.find(kind); names != known_.end())
      count.served = names->second.size();
    if (const auto accepted = accepted_.find(kind); accepted != accepted_.end())
      count.accepted = accepted->second;
    state.resources.push_back(std::move(count));
  }
  for (const discovery::RejectedResource& rejected : client_->store().rejected()) {
    ++state.resources[static_cast<std::size_t>(rejected.kind)].rejected;
    state.rejected.push_back({type_name(rejected.kind),
                              rejected.name,
                              rejected.field,
                              rejected.reason,
                              serves_last_good(resources(), rejected.name)});
  }
  state.last_update = last_update_;
  state.secret_servers = secret_servers(*client_);
  const std::vector<snapshot::Secret>& secrets = resources().secrets;
  const bool is_elsewhere = std::any_of(secrets.begin(), secrets.end(), [](const auto& secret) {
    return std::holds_alternative<snapshot::TlsCertificate>(secret.value) &&
           discovery::parse_sds_name(secret.name).has_value();
  });
  state.key_origin = is_elsewhere ? "SPIRE agent" : "control plane";
  return state;
}

}  // namespace mooring::app
