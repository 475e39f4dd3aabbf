#include "policy/choose.h"

namespace mooring::policy {

namespace {

bool choose_among(std::span<const EndpointView> endpoints,
                  config::LbPolicy lb_policy,
                  std::uint64_t position,
                  bool take_ejected,
                  std::size_t& out) noexcept {
  bool found = false;
  for (std::size_t i = 0; i < endpoints.size(); ++i) {
    const std::size_t index = (position + i) % endpoints.size();
    const EndpointView& endpoint = endpoints[index];
    if (endpoint.was_tried || endpoint.is_ejected != take_ejected) continue;
    if (found && endpoint.active >= endpoints[out].active) continue;
    out = index;
    found = true;
    if (lb_policy == config::LbPolicy::round_robin) return true;
  }
  return found;
}

}  // namespace

bool choose(std::span<const EndpointView> endpoints,
            config::LbPolicy lb_policy,
            std::uint64_t position,
            Choice& out) noexcept {
  if (choose_among(endpoints, lb_policy, position, false, out.endpoint)) {
    out.is_panic = false;
    return true;
  }
  out.is_panic = choose_among(endpoints, lb_policy, position, true, out.endpoint);
  return out.is_panic;
}

}  // namespace mooring::policy
