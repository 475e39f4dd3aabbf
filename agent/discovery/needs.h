// What a listener or a cluster names and cannot do without. Pure.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "discovery/decode.h"
#include "discovery/resource.h"
#include "snapshot/resources.h"

namespace mooring::discovery {

struct Need {
  ResourceKind kind = ResourceKind::secret;
  std::string name;

  friend bool operator==(const Need&, const Need&) = default;
};

/// Its endpoints (of an EDS cluster) and the secrets of its TLS contexts, each once or more.
/// Secrets that a resource brings itself are not among them.
[[nodiscard]] std::vector<Need> needs_of(const snapshot::Cluster& cluster);
/// Its clusters and the secrets of its chains.
[[nodiscard]] std::vector<Need> needs_of(const snapshot::Listener& listener);
[[nodiscard]] std::vector<Need> needs_of(const SystemListener& listener);
/// None of anything else.
[[nodiscard]] std::vector<Need> needs_of(const Decoded& decoded);

}  // namespace mooring::discovery
