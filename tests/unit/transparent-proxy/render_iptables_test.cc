#include "transparent-proxy/render_iptables.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "golden.h"
#include "samples.h"
#include "transparent-proxy/describe_plan.h"

namespace mooring::transparent_proxy {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::StartsWith;

Plan sample_plan() {
  return *plan(sample_config(), sample_facts());
}

TEST(RenderIptables, WithoutTproxyServicesAreRedirected) {
  HostFacts facts = sample_facts();
  facts.has_tproxy = false;
  const IptablesText text = render_iptables(*plan(sample_config(), facts), 'a');
  expect_golden("iptables-redirect.rules", text.v4);
}

TEST(RenderIptables, NamesGoToTheAgentAndAreNeverGuarded) {
  InterceptConfig config;
  config.outbound = {{*parse_prefix("240.0.0.0/4"), 5432, OnAgentDeath::closed}};
  config.dns_port = 15053;
  const IptablesText text = render_iptables(*plan(config, sample_facts()), 'a');
  expect_golden("iptables-names-v4.rules", text.v4);
  expect_golden("iptables-names-v6.rules", text.v6);
}

TEST(RenderIptables, BothFamilies) {
  const IptablesText text = render_iptables(sample_plan(), 'a');
  expect_golden("iptables-v4.rules", text.v4);
  expect_golden("iptables-v6.rules", text.v6);
}

TEST(RenderIptables, ChangeRemovesWhatIsNotWanted) {
  const std::vector<IptablesChain> present{{"nat", "OUTPUT", "mooring_0123abcd_b_out"},
                                           {"mangle", "", "mooring_0123abcd_b_in"},
                                           {"filter", "INPUT", "mooring_0123abcd_guard_in"}};
  expect_golden("iptables-change.rules",
                render_iptables_change(guard_parts(sample_plan(), false), present));
}

TEST(RenderIptables, NothingWantedAndNothingThereIsNothingToDo) {
  EXPECT_THAT(render_iptables_change({}, {}), IsEmpty());
}

TEST(RenderIptables, ChainNamesFitTheKernel) {
  for (const auto& parts :
       {capture_parts(sample_plan(), 'b', false), guard_parts(sample_plan(), true)}) {
    for (const IptablesPart& part : parts)
      EXPECT_LE(part.chain.name.size(), 28U) << part.chain.name;
  }
}

TEST(RenderIptables, SplitsLongPortLists) {
  InterceptConfig config;
  for (std::uint16_t port = 8000; port < 8020; ++port)
    config.inbound.push_back({port, OnAgentDeath::open});
  const auto parts = capture_parts(*plan(config, sample_facts()), 'a', false);
  ASSERT_EQ(parts.size(), 1U);
  EXPECT_THAT(parts[0].rules, HasSubstr("8014 -j TPROXY"));
  EXPECT_THAT(parts[0].rules, HasSubstr("--dports 8015,8016,8017,8018,8019 -j TPROXY"));
}

TEST(ParseOurChains, ReadsIptablesSave) {
  const char* saved =
      "# Generated\n*nat\n:OUTPUT ACCEPT [0:0]\n:mooring_0123abcd_a_out - [0:0]\n:other - [0:0]\n"
      "-A OUTPUT -j mooring_0123abcd_a_out\n-A mooring_0123abcd_a_out -o lo -j RETURN\nCOMMIT\n"
      "*filter\n:mooring_0123abcd_guard_in - [3:4]\nCOMMIT\n";
  EXPECT_THAT(parse_our_chains(saved),
              ElementsAre(IptablesChain{"nat", "OUTPUT", "mooring_0123abcd_a_out"},
                          IptablesChain{"filter", "", "mooring_0123abcd_guard_in"}));
  EXPECT_EQ(our_lines(saved),
            "*nat :mooring_0123abcd_a_out\n*nat -A OUTPUT -j mooring_0123abcd_a_out\n"
            "*nat -A mooring_0123abcd_a_out -o lo -j RETURN\n*filter :mooring_0123abcd_guard_in\n");
}

TEST(DescribePlan, SpeaksTheBackendsLanguage) {
  EXPECT_THAT(*describe_plan(sample_config(), sample_facts()),
              StartsWith("table inet mooring_0123abcd_a {"));
  EXPECT_THAT(*describe_plan(sample_config(), sample_facts(), "nft ip+ip6"),
              HasSubstr("table ip6 mooring_0123abcd_guard"));
  const std::string legacy = *describe_plan(sample_config(), sample_facts(), "iptables-legacy");
  EXPECT_THAT(legacy, StartsWith("# iptables-legacy-restore --noflush\n*filter"));
  EXPECT_THAT(legacy, Not(HasSubstr("table inet")));
}

TEST(DescribePlan, SaysWhatIsLeftOutAndWhy) {
  InterceptConfig config;
  config.outbound = {{*parse_prefix("10.1.2.3"), 80, OnAgentDeath::open}};
  config.exclude_addresses = {*parse_prefix("10.1.0.0/16")};
  EXPECT_THAT(*describe_plan(config, sample_facts()),
              StartsWith("# outbound 10.1.2.3/32 port 80 is not captured"));
  EXPECT_EQ(*describe_plan(InterceptConfig{}, sample_facts()), "# nothing is captured\n");
  config.outbound[0].port = 22;
  EXPECT_FALSE(describe_plan(config, sample_facts()));
}

}  // namespace
}  // namespace mooring::transparent_proxy
