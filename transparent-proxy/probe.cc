// The functional half of backend.h.
#include <unistd.h>

#include "transparent-proxy/backend.h"
#include "transparent-proxy/nft_runner.h"

namespace mooring::transparent_proxy {

std::vector<ProbeResult> probe_backends() {
  const bool lib = make_library_runner().has_value();
  return {{BackendKind::nft_inet, true, lib, lib, ""}};
}

}  // namespace mooring::transparent_proxy
