// Text of a URI SAN or of a configuration file.
#include <cstdint>
#include <string_view>

#include "core/result.h"
#include "identity/spiffe_id.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using mooring::identity::SpiffeId;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto id = SpiffeId::parse(text);
  if (!id) return 0;
  // What is accepted is what was given, and its parts make it whole again.
  AGENT_CHECK(id->text() == text);
  AGENT_CHECK(mooring::identity::is_trust_domain(id->trust_domain()));
  AGENT_CHECK("spiffe://" + std::string(id->trust_domain()) + std::string(id->path()) == text);
  AGENT_CHECK(id->path().empty() || id->path().front() == '/');
  return 0;
}
