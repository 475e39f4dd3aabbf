#include "discovery/resource.h"

#include <algorithm>

namespace mooring::discovery {

const char* to_string(ResourceKind kind) noexcept {
  switch (kind) {
    case ResourceKind::cluster:
      return "cluster";
    case ResourceKind::endpoints:
      return "endpoints";
    case ResourceKind::secret:
      return "secret";
    case ResourceKind::listener:
      return "listener";
  }
  return "";
}

std::string_view type_url(ResourceKind kind) noexcept {
  switch (kind) {
    case ResourceKind::cluster:
      return "type.googleapis.com/envoy.config.cluster.v3.Cluster";
    case ResourceKind::endpoints:
      return "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment";
    case ResourceKind::secret:
      return "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret";
    case ResourceKind::listener:
      return "type.googleapis.com/envoy.config.listener.v3.Listener";
  }
  return {};
}

std::optional<ResourceKind> kind_of(std::string_view url) noexcept {
  for (const ResourceKind kind : kResourceKinds)
    if (url == type_url(kind)) return kind;
  return std::nullopt;
}

bool is_resource_name(std::string_view name) noexcept {
  return !name.empty() && name.size() <= kMaxResourceName &&
         std::all_of(name.begin(), name.end(), [](char c) { return c >= ' ' && c < '\x7f'; });
}

}  // namespace mooring::discovery
