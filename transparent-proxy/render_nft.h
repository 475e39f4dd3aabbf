// A plan as nft text: the tables that capture, the guard that keeps closed what is closed, the
// table that lets live redirected connections end in peace. Pure; golden files in
// tests/golden/nft-*.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "transparent-proxy/plan.h"

namespace mooring::transparent_proxy {

/// One inet table (kernel 5.2), or one table for each family where the kernel has no nat in inet.
enum class NftFamily : std::uint8_t { inet, split };

struct NftOptions {
  NftFamily family = NftFamily::inet;
  char letter = 'a';      // a or b: two generations can stand side by side
  bool is_owned = false;  // flags owner: dies with its netlink socket, others cannot touch it
};

/// A table as nft names it.
struct TableName {
  std::string family;
  std::string name;
  friend auto operator<=>(const TableName&, const TableName&) = default;
};

/// Every table that we ever make is named mooring_<boot suffix>_<a|b|guard|drain>.
inline constexpr std::string_view kTablePrefix = "mooring_";

[[nodiscard]] std::string capture_table(std::string_view boot_suffix, char letter);
[[nodiscard]] std::string guard_table(std::string_view boot_suffix);
[[nodiscard]] std::string drain_table(std::string_view boot_suffix);
/// "inet" or "ip", "ip6".
[[nodiscard]] std::vector<std::string> families_of(NftFamily family);

/// The capture tables.
[[nodiscard]] std::string render_nft(const Plan& plan, const NftOptions& options);

/// The guard: never owned, because it has to outlive everybody. It is in place while capture is, so
/// that nothing has to happen when the agent dies. Empty if nothing is closed.
[[nodiscard]] std::string render_nft_guard(const Plan& plan, NftFamily family);

/// Keeps conntrack and NAT running for connections that are redirected already. Without it the
/// kernel unhooks both with the last table that needs them, and every live redirected connection is
/// reset.
/// `ports`: the agent's, to which they were redirected; for a helper that finds the table.
[[nodiscard]] std::string render_nft_drain(std::string_view boot_suffix,
                                           NftFamily family,
                                           const std::vector<std::uint16_t>& ports);

}  // namespace mooring::transparent_proxy
