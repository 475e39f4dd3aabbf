#include "transparent-proxy/backend.h"

#include <array>
#include <charconv>
#include <fstream>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "transparent-proxy/command.h"
#include "transparent-proxy/iptables_rules.h"
#include "transparent-proxy/nft_rules.h"

namespace mooring::transparent_proxy {

namespace {

constexpr std::array<std::pair<BackendKind, const char*>, 4> kNames{
    {{BackendKind::nft_inet, "nft-inet"},
     {BackendKind::nft_split, "nft-split"},
     {BackendKind::iptables_nft, "iptables-nft"},
     {BackendKind::iptables_legacy, "iptables-legacy"}}};

// Both nat implementations share the hooks since 4.18 (netfilter: "nat core: attach all NAT hooks
// to a single dispatcher"); before, the first to see a connection wins and the other one's
// translation is lost.
constexpr KernelVersion kSharedNat{4, 18};

}  // namespace

const char* to_string(BackendKind kind) noexcept {
  for (const auto& [known, name] : kNames) {
    if (known == kind) return name;
  }
  return "invalid";
}

Result<BackendKind> parse_backend(std::string_view text) noexcept {
  for (const auto& [kind, name] : kNames) {
    if (text == name) return kind;
  }
  return fail(Errc::bad_input, "parse_backend");
}

KernelVersion parse_kernel_version(std::string_view release) noexcept {
  KernelVersion version;
  const char* end = release.data() + release.size();
  const auto [dot, problem] = std::from_chars(release.begin(), end, version.major);
  if (problem == std::errc{} && dot != end && *dot == '.')
    std::from_chars(dot + 1, end, version.minor);
  return version;
}

Checked<ProbeResult> choose_backend(const std::vector<ProbeResult>& results,
                                    KernelVersion kernel,
                                    bool legacy_nat_is_live) {
  const auto would_break_nat = [&](const ProbeResult& result) {
    const bool is_legacy = result.kind == BackendKind::iptables_legacy;
    return result.works && legacy_nat_is_live && kernel < kSharedNat && !is_legacy;
  };
  for (const bool needs_tproxy : {true, false}) {
    for (const ProbeResult& result : results) {
      if (result.works && (result.has_tproxy || !needs_tproxy) && !would_break_nat(result))
        return result;
    }
  }
  std::string problems;
  for (const ProbeResult& result : results) {
    const bool would_clash = would_break_nat(result);
    problems += fmt::format(
        "{}{}: {}",
        problems.empty() ? "" : "; ",
        to_string(result.kind),
        would_clash ? "would break the live iptables-legacy nat of this kernel" : result.problem);
  }
  return fail(Diagnostic{"capture", "no backend works here: " + problems, "mooring-net --probe"});
}

bool is_legacy_nat_live() {
  // Readable for root only; the program needs CAP_NET_RAW. Where neither works the kernel is new
  // enough or it is said by the probe.
  if (std::ifstream names("/proc/net/ip_tables_names"); names) {
    for (std::string name; std::getline(names, name);) {
      if (name == "nat") return true;
    }
  }
  return false;
}

namespace {

Checked<std::unique_ptr<NftRunner>> make_runner(const ProbeResult& chosen) {
  return chosen.has_library ? make_library_runner() : make_program_runner();
}

NftFamily family_of(BackendKind kind) {
  return kind == BackendKind::nft_inet ? NftFamily::inet : NftFamily::split;
}

bool is_iptables(BackendKind kind) {
  return kind == BackendKind::iptables_nft || kind == BackendKind::iptables_legacy;
}

IptablesFlavour flavour_of(BackendKind kind) {
  return kind == BackendKind::iptables_nft ? IptablesFlavour::nft : IptablesFlavour::legacy;
}

}  // namespace

Checked<std::unique_ptr<Rules>> make_rules(const ProbeResult& chosen,
                                           const std::string& boot_suffix,
                                           std::shared_ptr<Journal> journal) {
  if (is_iptables(chosen.kind)) {
    auto programs = find_iptables(flavour_of(chosen.kind));
    if (!programs) return fail(programs.error());
    return std::make_unique<IptablesRules>(
        flavour_of(chosen.kind), std::move(*programs), boot_suffix, std::move(journal));
  }
  auto runner = make_runner(chosen);
  if (!runner) return fail(runner.error());
  if (journal) *runner = with_journal(std::move(*runner), std::move(journal));
  return std::make_unique<NftRules>(
      std::move(*runner), NftRulesOptions{family_of(chosen.kind), chosen.can_own, boot_suffix});
}

Checked<void> check_rules(const ProbeResult& candidate, const Plan& plan) {
  if (is_iptables(candidate.kind)) {
    const auto programs = find_iptables(flavour_of(candidate.kind));
    if (!programs) return fail(programs.error());
    const IptablesText text = render_iptables(plan, 'a');
    for (std::size_t family = 0; family < 2; ++family) {
      const auto done =
          run_or_complain({(*programs)[family].restore, "-w", "5", "--noflush", "--test"},
                          family == 0 ? text.v4 : text.v6);
      if (!done) return fail(done.error());
    }
    return {};
  }
  auto runner = make_runner(candidate);
  if (!runner) return fail(runner.error());
  const NftFamily family = family_of(candidate.kind);
  return (*runner)->check(render_nft(plan, {family, 'a', candidate.can_own}) +
                          render_nft_guard(plan, family));
}

}  // namespace mooring::transparent_proxy
