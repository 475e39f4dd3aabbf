#include "snapshot/names.h"

#include <set>

namespace mooring::snapshot {

std::vector<std::string> host_names(const Resources& resources) {
  std::set<std::string> names;
  for (const Cluster& cluster : resources.clusters) {
    for (const LocalityEndpoints& locality : cluster.endpoints.localities) {
      for (const LbEndpoint& endpoint : locality.endpoints) {
        if (!endpoint.address && !endpoint.host_name.empty()) names.insert(endpoint.host_name);
      }
    }
  }
  return {names.begin(), names.end()};
}

}  // namespace mooring::snapshot
