// What the helper reads of the host: files, /proc, listings of other programs, its own state file.
// The first byte chooses the reader.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "transparent-proxy/backend.h"
#include "transparent-proxy/bounds.h"
#include "transparent-proxy/facts.h"
#include "transparent-proxy/helper/control.h"
#include "transparent-proxy/nft_rules.h"
#include "transparent-proxy/render_iptables.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace mooring::transparent_proxy;
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data + 1), size - 1);
  switch (data[0] % 9) {
    case 0:
      (void)parse_bounds(text, "capture.toml");
      break;
    case 1:
      (void)parse_resolvers(text);
      break;
    case 2:
      (void)parse_sshd_ports(text);
      break;
    case 3:
      (void)parse_socket_unit_ports(text);
      break;
    case 4:
      (void)parse_proc_tcp(text);
      break;
    case 5:
      for (const TableName& table : parse_our_tables(text))
        AGENT_CHECK(table.name.starts_with(kTablePrefix));
      AGENT_CHECK(compare_listings(text, text));
      break;
    case 6:
      for (const IptablesChain& chain : parse_our_chains(text))
        AGENT_CHECK(chain.name.starts_with(kTablePrefix));
      (void)our_lines(text);
      break;
    case 7:
      if (const auto state = decode_state(text)) AGENT_CHECK(encode_state(*state) == text);
      break;
    default:
      (void)parse_kernel_version(text);
  }
  return 0;
}
