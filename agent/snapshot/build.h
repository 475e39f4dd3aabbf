// From resources to a snapshot. Pure; control thread.
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

/// Parts that equal those of `previous` (may be null) are shared with it. A rejected resource keeps
/// its last good version from `previous`; one that never was good is left out, and a listener whose
/// cluster is missing refuses its connections.
[[nodiscard]] Built build(const Resources& resources,
                          identity::MaterialPtr material,
                          const Snapshot* previous);

}  // namespace mooring::snapshot
