#include "discovery/sotw_adapter.h"

#include <utility>

namespace mooring::discovery {

std::optional<SotwRequest> SotwAdapter::request(const DeltaRequest& request) {
  if (!request.error.empty() && !types_.contains(request.type_url)) return std::nullopt;
  Type& type = types_[request.type_url];
  type.names.insert(request.subscribe.begin(), request.subscribe.end());
  for (const std::string& name : request.unsubscribe)
    type.names.erase(name);
  const bool names_changed = !request.subscribe.empty() || !request.unsubscribe.empty();
  bool is_held = false;
  if (!names_changed && std::exchange(type.is_unanswered, false)) {
    if (request.error.empty()) {
      type.taken = type.offered;
    } else {
      is_held = std::exchange(type.refused, type.offered) == type.offered;
    }
  }
  SotwRequest out{.type_url = request.type_url,
                  .names = {type.names.begin(), type.names.end()},
                  .version = type.taken,
                  .nonce = type.nonce,
                  .error = request.error};
  held_.erase(request.type_url);
  if (!is_held) return out;
  held_.emplace(request.type_url, std::move(out));
  return std::nullopt;
}

DeltaResponse SotwAdapter::response(SotwResponse response) {
  DeltaResponse& content = response.content;
  const auto found = types_.find(content.type_url);
  if (found == types_.end()) return std::move(content);
  Type& type = found->second;
  type.offered = std::move(response.version);
  type.nonce = content.nonce;
  type.is_unanswered = true;
  const auto kind = kind_of(content.type_url);
  if (kind != ResourceKind::cluster && kind != ResourceKind::listener) return std::move(content);
  std::set<std::string> gone = known_(*kind);
  bool can_all_be_read = true;
  for (const DeltaResource& resource : content.resources) {
    can_all_be_read = can_all_be_read && !resource.name.empty();
    gone.erase(resource.name);
  }
  if (!can_all_be_read) return std::move(content);
  content.removed.assign(gone.begin(), gone.end());
  return std::move(content);
}

std::vector<SotwRequest> SotwAdapter::take_held() {
  std::vector<SotwRequest> out;
  for (auto& [url, request] : std::exchange(held_, {}))
    out.push_back(std::move(request));
  return out;
}

}  // namespace mooring::discovery
