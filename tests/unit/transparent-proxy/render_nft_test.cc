#include "transparent-proxy/render_nft.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "golden.h"
#include "samples.h"

namespace mooring::transparent_proxy {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

Plan sample_plan() {
  return *plan(sample_config(), sample_facts());
}

TEST(RenderNft, InetTable) {
  expect_golden("nft-inet.nft", render_nft(sample_plan(), {}));
}

TEST(RenderNft, OwnedTable) {
  expect_golden("nft-owned-b.nft", render_nft(sample_plan(), {NftFamily::inet, 'b', true}));
}

TEST(RenderNft, OneTableForEachFamily) {
  expect_golden("nft-split.nft", render_nft(sample_plan(), {NftFamily::split, 'a', false}));
}

TEST(RenderNft, NamesGoToTheAgentAndAreNeverGuarded) {
  InterceptConfig config;
  config.outbound = {{*parse_prefix("240.0.0.0/4"), 5432, OnAgentDeath::closed}};
  config.dns_port = 15053;
  HostFacts facts = sample_facts();
  const Plan made = *plan(config, facts);
  expect_golden("nft-names.nft", render_nft(made, {}) + render_nft_guard(made, NftFamily::inet));
  expect_golden("nft-names-split.nft", render_nft(made, {NftFamily::split, 'a', false}));
  facts.name_servers = {*parse_ip("127.0.0.53")};
  facts.resolver_uids.clear();
  expect_golden("nft-names-stub.nft", render_nft(*plan(config, facts), {}));
}

TEST(RenderNft, Guard) {
  expect_golden("nft-guard.nft", render_nft_guard(sample_plan(), NftFamily::inet));
}

TEST(RenderNft, GuardOfEachFamily) {
  expect_golden("nft-guard-split.nft", render_nft_guard(sample_plan(), NftFamily::split));
}

TEST(RenderNft, WithoutTproxyServicesAreRedirected) {
  HostFacts facts = sample_facts();
  facts.has_tproxy = false;
  const Plan made = *plan(sample_config(), facts);
  EXPECT_TRUE(made.redirects_inbound);
  EXPECT_THAT(made.notes, testing::Contains(HasSubstr("host's firewall sees port")));
  expect_golden("nft-redirect.nft", render_nft(made, {}) + render_nft_guard(made, NftFamily::inet));
}

TEST(RenderNft, Drain) {
  expect_golden("nft-drain.nft", render_nft_drain("0123abcd", NftFamily::inet, {15001}));
}

TEST(RenderNft, OtherTrafficRefused) {
  InterceptConfig config;
  config.other = OtherTraffic::refuse;
  config.other_on_agent_death = OnAgentDeath::closed;
  const auto made = plan(config, sample_facts());
  ASSERT_TRUE(made);
  expect_golden("nft-other-refused.nft",
                render_nft(*made, {}) + render_nft_guard(*made, NftFamily::inet));
}

TEST(RenderNft, InboundOnlyHasNoNatChain) {
  InterceptConfig config;
  config.inbound = {{80, OnAgentDeath::open}};
  const std::string text = render_nft(*plan(config, sample_facts()), {});
  EXPECT_THAT(text, HasSubstr("tproxy"));
  EXPECT_THAT(text, Not(HasSubstr("type nat")));
  EXPECT_THAT(text, Not(HasSubstr("drop")));
}

TEST(RenderNft, NothingClosedNeedsNoGuard) {
  InterceptConfig config;
  config.inbound = {{80, OnAgentDeath::open}};
  EXPECT_THAT(render_nft_guard(*plan(config, sample_facts()), NftFamily::inet), IsEmpty());
}

TEST(RenderNft, WholeAddressSpace) {
  InterceptConfig config;
  config.outbound = {{*parse_prefix("0.0.0.0/0"), 80, OnAgentDeath::open}};
  EXPECT_THAT(render_nft(*plan(config, sample_facts()), {}),
              HasSubstr("meta nfproto ipv4 tcp dport { 80 }"));
}

}  // namespace
}  // namespace mooring::transparent_proxy
