#include "transparent-proxy/backend.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace mooring::transparent_proxy {
namespace {

using testing::HasSubstr;

constexpr KernelVersion kOld{4, 17};
constexpr KernelVersion kNew{4, 18};

ProbeResult works(BackendKind kind) {
  return {kind, true, false, false, ""};
}
ProbeResult fails(BackendKind kind) {
  return {kind, false, false, false, "not here"};
}

std::string chosen(const std::vector<ProbeResult>& results, KernelVersion kernel, bool legacy_nat) {
  const auto choice = choose_backend(results, kernel, legacy_nat);
  return choice ? to_string(choice->kind) : describe(choice.error());
}

TEST(ChooseBackend, PrefersTproxyToTheBetterBackendWithoutIt) {
  ProbeResult nft{BackendKind::nft_inet, true, true, true, "", false};
  const ProbeResult iptables{BackendKind::iptables_nft, true, false, false, "", true};
  EXPECT_EQ(choose_backend({nft, iptables}, {6, 1}, false)->kind, BackendKind::iptables_nft);
  EXPECT_EQ(choose_backend({nft}, {6, 1}, false)->kind, BackendKind::nft_inet);
}

TEST(ChooseBackend, TakesTheFirstThatWorks) {
  const std::vector<ProbeResult> results{fails(BackendKind::nft_inet),
                                         works(BackendKind::nft_split),
                                         works(BackendKind::iptables_nft)};
  EXPECT_EQ(chosen(results, kNew, true), "nft-split");
}

TEST(ChooseBackend, NeverPutsNftNatBesideLiveLegacyNatOnAnOldKernel) {
  const std::vector<ProbeResult> results{works(BackendKind::nft_inet),
                                         works(BackendKind::nft_split),
                                         works(BackendKind::iptables_nft),
                                         works(BackendKind::iptables_legacy)};
  EXPECT_EQ(chosen(results, kOld, true), "iptables-legacy");
  EXPECT_EQ(chosen(results, kOld, false), "nft-inet");
  EXPECT_EQ(chosen(results, kNew, true), "nft-inet");
}

TEST(ChooseBackend, SaysWhyNoneWorks) {
  EXPECT_THAT(chosen({fails(BackendKind::nft_inet), works(BackendKind::iptables_nft)}, kOld, true),
              testing::AllOf(HasSubstr("nft-inet: not here"),
                             HasSubstr("iptables-nft: would break the live iptables-legacy")));
}

TEST(ParseKernelVersion, TakesMajorAndMinor) {
  EXPECT_EQ(parse_kernel_version("6.18.44-fc-v669"), (KernelVersion{6, 18}));
  EXPECT_EQ(parse_kernel_version("3.10.0-1160.el7"), (KernelVersion{3, 10}));
  EXPECT_EQ(parse_kernel_version("odd"), (KernelVersion{0, 0}));
}

TEST(ParseBackend, KnowsEveryName) {
  for (const BackendKind kind : {BackendKind::nft_inet,
                                 BackendKind::nft_split,
                                 BackendKind::iptables_nft,
                                 BackendKind::iptables_legacy}) {
    EXPECT_EQ(*parse_backend(to_string(kind)), kind);
  }
  EXPECT_FALSE(parse_backend("ipfw"));
}

}  // namespace
}  // namespace mooring::transparent_proxy
