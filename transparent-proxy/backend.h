// Which way this host's kernel and programs can capture, found by trying it in a private network
// namespace.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/result.h"
#include "transparent-proxy/journal.h"
#include "transparent-proxy/rules.h"

namespace mooring::transparent_proxy {

/// In the order of preference.
enum class BackendKind : std::uint8_t { nft_inet, nft_split, iptables_nft, iptables_legacy };
[[nodiscard]] const char* to_string(BackendKind kind) noexcept;
[[nodiscard]] Result<BackendKind> parse_backend(std::string_view text) noexcept;

struct ProbeResult {
  BackendKind kind = BackendKind::nft_inet;
  bool works = false;
  bool can_own = false;      // nft only
  bool has_library = false;  // libnftables in process, not the nft program
  std::string problem;
  bool has_tproxy = true;  // else services are captured by redirect
};

struct KernelVersion {
  unsigned major = 0;
  unsigned minor = 0;
  friend auto operator<=>(const KernelVersion&, const KernelVersion&) noexcept = default;
};
[[nodiscard]] KernelVersion parse_kernel_version(std::string_view release) noexcept;

/// Pure: the first that works with tproxy, else the first that works. Before 4.18 nat by nf_tables
/// beside live iptables-legacy nat breaks both, so there legacy is the only one that may be chosen.
[[nodiscard]] Checked<ProbeResult> choose_backend(const std::vector<ProbeResult>& results,
                                                  KernelVersion kernel,
                                                  bool legacy_nat_is_live);

struct ProbeOptions {
  bool stops_at_first = false;  // the rest is not tried once one works with all there is
  bool is_plain = false;        // without libnftables and ownership, as on a host that has neither
  bool without_tproxy = false;  // as on a kernel that lacks it
};

/// Tries every backend in a namespace of its own, by child processes; the host's rules are not
/// touched. Where no namespace can be made, the rules are checked by the kernel without being
/// committed.
[[nodiscard]] std::vector<ProbeResult> probe_backends(const ProbeOptions& options);
/// The check without a commit: nft -c, iptables-restore --test.
[[nodiscard]] Checked<void> check_rules(const ProbeResult& candidate, const Plan& plan);

/// iptables-legacy rules in the nat table of this namespace.
[[nodiscard]] bool is_legacy_nat_live();

/// `journal` may be null: for the tries in a namespace.
[[nodiscard]] Checked<std::unique_ptr<Rules>> make_rules(
    const ProbeResult& chosen,
    const std::string& boot_suffix,
    std::shared_ptr<Journal> journal = nullptr);

}  // namespace mooring::transparent_proxy
