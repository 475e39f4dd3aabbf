// The firewall files of this host, in which somebody may have saved our tables together with the
// host's own rules
// (`nft list ruleset > /etc/nftables.conf`).
#pragma once

#include <string>

namespace mooring::transparent_proxy {

/// All the nft text that this user may read there.
[[nodiscard]] std::string saved_nft_rules();

}  // namespace mooring::transparent_proxy
