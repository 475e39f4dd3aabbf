// Host names that resources mention, and their addresses.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "core/address.h"
#include "snapshot/resources.h"

namespace mooring::snapshot {

/// A name that could not be resolved is absent.
using ResolvedNames = std::map<std::string, std::vector<IpAddress>>;

/// Of the endpoints of strict_dns clusters, each once, sorted.
[[nodiscard]] std::vector<std::string> host_names(const Resources& resources);

}  // namespace mooring::snapshot
