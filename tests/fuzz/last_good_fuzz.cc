// The file of last good resources: whatever is on the disk, and whatever a sound digest vouches
// for.
#include <cstdint>
#include <string_view>

#include <fmt/format.h>

#include "discovery/last_good.h"
#include "identity/digest.h"

namespace {

constexpr std::string_view kMachine = "0123456789abcdef0123456789abcdef";

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  namespace discovery = mooring::discovery;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  AGENT_CHECK(!discovery::decode_last_good(bytes, kMachine) || size > 150);
  const std::string head = discovery::encode_last_good({}, kMachine);
  const std::string content =
      fmt::format("{} {}\n", head.substr(0, head.rfind(' ')), mooring::identity::sha256_hex(bytes));
  const auto decoded = discovery::decode_last_good(content + std::string(bytes), kMachine);
  if (!decoded) return 0;
  AGENT_CHECK(discovery::decode_last_good(discovery::encode_last_good(*decoded, kMachine),
                                          kMachine) == *decoded);
  return 0;
}
