// What a real control plane sent: the recordings beside the project as far as they are there, and
// the project's own in tests/fixtures/kuma.
#pragma once

#include <limits>
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

/// Those beside the project. Empty where there are none: the reader skips, and says so.
[[nodiscard]] std::vector<RecordedCase> recorded_cases();

/// The project's own. Their placeholders of certificates and keys are filled.
[[nodiscard]] std::vector<RecordedCase> own_cases();
/// One of them, after its first `responses`.
[[nodiscard]] RecordedCase own_case(
    const std::string& name, std::size_t responses = std::numeric_limits<std::size_t>::max());

/// Everything of a case that the data path is for. Its certificates may have expired: whether one
/// is in force is for the data path to say, not for build().
[[nodiscard]] snapshot::Resources resources_of(const RecordedCase& one);

}  // namespace mooring::discovery
