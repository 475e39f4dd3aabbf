// Tells when anybody changes nf_tables: the kernel's own notices (NFNLGRP_NFTABLES), so that
// nothing has to be polled.
#pragma once

#include "core/fd.h"
#include "core/result.h"

namespace mooring::transparent_proxy {

/// A netlink socket that becomes readable after changes. Needs CAP_NET_ADMIN.
[[nodiscard]] Result<UniqueFd> open_rule_events();
/// Takes what is there; its content does not matter.
void drain_rule_events(int fd) noexcept;

}  // namespace mooring::transparent_proxy
