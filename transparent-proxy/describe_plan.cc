#include "transparent-proxy/describe_plan.h"

#include <fmt/format.h>

#include "transparent-proxy/render_iptables.h"
#include "transparent-proxy/render_nft.h"

namespace mooring::transparent_proxy {

Checked<std::string> describe_plan(const InterceptConfig& config,
                                   const HostFacts& facts,
                                   std::string_view backend) {
  const auto made = plan(config, facts);
  if (!made) return fail(made.error());
  std::string text;
  for (const std::string& note : made->notes)
    text += fmt::format("# {}\n", note);
  if (!made->captures_anything()) return text + "# nothing is captured\n";
  if (backend.starts_with("iptables")) {
    const IptablesText rules = render_iptables(*made, 'a');
    const std::string_view flavour = backend == "iptables-legacy" ? "-legacy" : "-nft";
    return text +
           fmt::format("# iptables{0}-restore --noflush\n{1}# ip6tables{0}-restore --noflush\n{2}",
                       flavour,
                       rules.v4,
                       rules.v6);
  }
  const NftFamily family = backend == "nft ip+ip6" ? NftFamily::split : NftFamily::inet;
  return text + render_nft(*made, {family, 'a', false}) + render_nft_guard(*made, family);
}

}  // namespace mooring::transparent_proxy
