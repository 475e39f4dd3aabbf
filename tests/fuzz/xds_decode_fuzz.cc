// xDS from a control plane: whatever the bytes are, decoding ends with a value or a reason. The
// first byte says which type they are of.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "discovery/decode.h"
#include "discovery/explain.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace mooring::discovery;
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const ResourceKind kind = kResourceKinds[data[0] % kResourceKinds.size()];
  const DecodeResult result = decode(type_url(kind), "", bytes.substr(1));
  // What is taken has a name; what is not, a reason.
  if (result ? !is_resource_name(name_of(*result)) : result.error().reason.empty()) std::abort();
  (void)explain(bytes.substr(1));
  return 0;
}
