// What a real control plane sent, as far as the recordings beside the project are there.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "discovery/decode.h"

namespace mooring::discovery {

/// A resource as a response has it.
struct Recorded {
  std::string type_url;
  std::string name;
  std::string bytes;
};

/// One data plane in one case: the last version of each resource that it was sent and that was not
/// removed again.
struct RecordedCase {
  std::string name;  // "plain/client-plain"
  std::vector<Recorded> resources;
};

/// Empty where there are none: the reader skips, and says so.
[[nodiscard]] std::vector<RecordedCase> recorded_cases();

}  // namespace mooring::discovery
