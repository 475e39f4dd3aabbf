// A packet that any local process may send to mooring-net. What is accepted must be what encode()
// makes, within its bounds, and harmless to plan with.
#include <cstddef>
#include <cstdint>

#include "capture_client/messages.h"
#include "transparent-proxy/helper/server.h"
#include "transparent-proxy/plan.h"
#include "transparent-proxy/render_nft.h"

namespace {

using namespace mooring;
using namespace mooring::capture_client;

const InterceptConfig* config_of(const Body& body) {
  if (const auto* set = std::get_if<SetPlan>(&body)) return &set->config;
  if (const auto* attempt = std::get_if<TryPlan>(&body)) return &attempt->config;
  if (const auto* activate = std::get_if<Activate>(&body)) return &activate->config;
  if (const auto* narrow = std::get_if<Narrow>(&body)) return &narrow->config;
  return nullptr;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const Bytes packet = std::as_bytes(std::span(data, size));
  const auto message = decode(packet);
  if (!message) return 0;
  const auto again = encode(*message);
  AGENT_CHECK(std::equal(again.begin(), again.end(), packet.begin(), packet.end()));
  // A stranger may greet and ask for the status, nothing else.
  const bool may = transparent_proxy::check_permission(message->body, 1000, 998).has_value();
  AGENT_CHECK(!may || std::holds_alternative<Hello>(message->body) ||
              std::holds_alternative<GetStatus>(message->body));
  if (const InterceptConfig* config = config_of(message->body)) {
    AGENT_CHECK(check_bounds(*config));
    transparent_proxy::HostFacts facts;
    facts.boot_suffix = "0123abcd";
    facts.sshd_ports = {22};
    const auto made = transparent_proxy::plan(*config, facts);
    if (made) AGENT_CHECK(!transparent_proxy::render_nft(*made, {}).empty());
  }
  return 0;
}
