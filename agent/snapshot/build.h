// From resources to a snapshot. Pure but for the ticket keys of new material; control thread.
#pragma once

#include <string>
#include <vector>

#include "snapshot/snapshot.h"

namespace mooring::snapshot {

struct Rejected {
  std::string resource;
  std::string field;
  std::string reason;
};

struct Built {
  SnapshotPtr snapshot;
  std::vector<Rejected> rejected;
};

/// Parts that equal those of `previous` (may be null) are shared with it, and so are the ticket
/// keys of a certificate and a trust that did not change. A rejected resource keeps its last good
/// version from `previous`. One that never was good is left out; if it is a listener, the
/// connections that it would have had are refused. A chain whose cluster or secret is missing
/// refuses too.
/// `names` are those of host_names(resources).
[[nodiscard]] Built build(const Resources& resources,
                          const Snapshot* previous,
                          const ResolvedNames& names = {});

/// A LoadAssignment resource that is another one; null: it is gone.
struct EndpointsChange {
  std::string name;
  const LoadAssignment* now = nullptr;
};

/// `previous` but for the endpoints of the clusters that have these resources: costs what they
/// cost, however large the mesh is. What build() makes of the same resources.
[[nodiscard]] SnapshotPtr with_endpoints(const Snapshot& previous,
                                         const std::vector<EndpointsChange>& changes,
                                         const ResolvedNames& names = {});

}  // namespace mooring::snapshot
