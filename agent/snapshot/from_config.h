// The static source: agent.toml's services and upstreams as resources. Pure.
#pragma once

#include <string>
#include <vector>

#include "config/model.h"
#include "identity/material.h"
#include "snapshot/names.h"
#include "snapshot/resources.h"

namespace mooring::snapshot {

/// Host names of `config`, each once, sorted.
[[nodiscard]] std::vector<std::string> host_names(const config::AgentConfig& config);

/// The secrets that the TLS contexts of resources_from() name.
inline constexpr const char* kIdentitySecret = "identity";
inline constexpr const char* kTrustSecret = "trust";

/// Services become inbound listeners "inbound_NAME" with a cluster "localhost_NAME", upstreams
/// outbound listeners "outbound_NAME" with a cluster "NAME". Unresolved names contribute nothing.
/// Other outbound traffic, where it passes, is a listener "outbound_other" for any address and
/// port.
[[nodiscard]] Resources resources_from(const config::AgentConfig& config,
                                       const ResolvedNames& names);

[[nodiscard]] std::vector<Secret> secrets_from(identity::MaterialText text);

}  // namespace mooring::snapshot
