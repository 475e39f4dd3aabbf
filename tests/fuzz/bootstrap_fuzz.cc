// A control plane's answer to the bootstrap request: the body as it comes, and the YAML in it.
#include <cstdint>
#include <string_view>

#include <nlohmann/json.hpp>

#include "core/base64.h"
#include "discovery/bootstrap.h"

namespace {

void check(const mooring::Checked<mooring::discovery::Bootstrap>& bootstrap) {
  if (!bootstrap) {
    AGENT_CHECK(!bootstrap.error().message.empty());
    return;
  }
  AGENT_CHECK(!bootstrap->node_id.empty() && !bootstrap->addresses.empty());
  AGENT_CHECK(nlohmann::json::parse(bootstrap->node_metadata).is_object());
  for (const auto& header : bootstrap->metadata)
    AGENT_CHECK(header.value.find_first_of("\r\n") == std::string::npos);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using mooring::discovery::parse_bootstrap;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  check(parse_bootstrap(text, "/token"));
  check(parse_bootstrap(R"({"bootstrap":")" + mooring::encode_base64(text) + R"("})", "/token"));
  const mooring::net::HttpAnswer answer{422, "text/plain", std::string(text)};
  const auto failure = mooring::discovery::explain_bootstrap("https://cp", answer);
  AGENT_CHECK(failure.diagnostic.message.find('\n') == std::string::npos);
  return 0;
}
