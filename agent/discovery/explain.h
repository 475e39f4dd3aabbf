// What this agent makes of recorded or dumped xDS, for people: `mooring config explain`. Pure.
#pragma once

#include <string>
#include <string_view>

#include "core/result.h"

namespace mooring::discovery {

struct Explanation {
  std::string text;  // lines; names of secrets, never what is in them
  bool has_rejected = false;
};

/// `bytes`: a DeltaDiscoveryResponse, a DiscoveryResponse, or one resource as Resource or Any, in
/// wire format. Fails for what is none of these.
[[nodiscard]] Checked<Explanation> explain(std::string_view bytes);

}  // namespace mooring::discovery
