// `mooring capture plan`: what would be done, as text. Nothing is touched.
#pragma once

#include <string>
#include <string_view>

#include "transparent-proxy/plan.h"

namespace mooring::transparent_proxy {

/// The rules of capture and guard, with the plan's notes as comments before them. `backend` as the
/// helper names it in Welcome and Status; empty: "nft inet", the first choice.
[[nodiscard]] Checked<std::string> describe_plan(const InterceptConfig& config,
                                                 const HostFacts& facts,
                                                 std::string_view backend = {});

}  // namespace mooring::transparent_proxy
