#include "transparent-proxy/plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "samples.h"

namespace mooring::transparent_proxy {
namespace {

using capture_client::OutboundTarget;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

OutboundTarget target(std::string_view prefix,
                      std::uint16_t port,
                      OnAgentDeath fate = OnAgentDeath::open) {
  return {*parse_prefix(prefix), port, fate};
}

TEST(Plan, GroupsPortsThatShareTheirPrefixes) {
  InterceptConfig config;
  config.outbound = {target("10.0.0.0/8", 80), target("10.0.0.0/8", 443), target("fd00::/8", 80)};
  const auto made = plan(config, sample_facts());
  ASSERT_TRUE(made);
  ASSERT_EQ(made->outbound.size(), 2U);
  EXPECT_FALSE(made->outbound[0].is_v6);
  EXPECT_THAT(made->outbound[0].ports, ElementsAre(80, 443));
  EXPECT_THAT(made->outbound[0].prefixes, ElementsAre(*parse_prefix("10.0.0.0/8")));
  EXPECT_TRUE(made->outbound[1].is_v6);
}

TEST(Plan, LeavesOutAPrefixInsideAnother) {
  InterceptConfig config;
  config.outbound = {target("10.0.0.0/8", 80),
                     target("10.3.0.0/16", 80),
                     target("10.0.0.0/16", 80),
                     target("11.0.0.0/8", 80)};
  const auto made = plan(config, sample_facts());
  ASSERT_TRUE(made);
  ASSERT_EQ(made->outbound.size(), 1U);
  EXPECT_THAT(made->outbound[0].prefixes,
              ElementsAre(*parse_prefix("10.0.0.0/8"), *parse_prefix("11.0.0.0/8")));
}

std::vector<IpPrefix> redirected(std::vector<IpAddress> name_servers,
                                 InterceptConfig config = InterceptConfig{}) {
  HostFacts facts = sample_facts();
  facts.name_servers = std::move(name_servers);
  if (config.dns_port == 0) config.dns_port = 15053;
  const auto made = plan(config, facts);
  EXPECT_TRUE(made);
  EXPECT_EQ(made->redirects_dns(), !made->dns.resolvers.empty());
  EXPECT_EQ(made->captures_anything(), made->redirects_dns());
  EXPECT_FALSE(made->guards_anything());
  return made->dns.resolvers;
}

TEST(Plan, RedirectsQueriesToTheHostsResolversWhereThatIsAskedFor) {
  EXPECT_THAT(redirected({*parse_ip("fd00::53"), *parse_ip("10.0.0.53"), *parse_ip("10.0.0.53")}),
              ElementsAre(*parse_prefix("fd00::53"), *parse_prefix("10.0.0.53")));
  EXPECT_THAT(plan(InterceptConfig{}, sample_facts())->dns.resolvers, IsEmpty());
  InterceptConfig config;
  config.dns_port = 15053;
  EXPECT_THAT(plan(config, sample_facts())->dns.except, ElementsAre(101U, 102U));
}

TEST(Plan, WhatAStubAsksIsNotRedirected) {
  EXPECT_THAT(redirected({*parse_ip("127.0.0.53"), *parse_ip("10.0.0.53")}),
              ElementsAre(*parse_prefix("127.0.0.53")));
  EXPECT_THAT(redirected({*parse_ip("::1")}), ElementsAre(*parse_prefix("::1")));
}

TEST(Plan, LeavesResolversThatAreExcludedOrThatTheAgentCannotAsk) {
  InterceptConfig config;
  config.exclude_addresses = {*parse_prefix("10.0.0.0/24")};
  EXPECT_THAT(redirected({*parse_ip("10.0.0.53"), *parse_ip("fe80::1")}, config), IsEmpty());
  config.exclude_addresses.clear();
  config.exclude_ports = {53};
  EXPECT_THAT(redirected({*parse_ip("10.0.0.53")}, config), IsEmpty());
}

TEST(Plan, WithoutAResolverSaysThatNamesDoNotResolve) {
  InterceptConfig config;
  config.dns_port = 15053;
  HostFacts facts = sample_facts();
  facts.name_servers.clear();
  const auto made = plan(config, facts);
  ASSERT_TRUE(made);
  EXPECT_FALSE(made->redirects_dns());
  EXPECT_THAT(made->notes, Contains(HasSubstr("/etc/resolv.conf")));
}

TEST(Plan, RefusesAPortForNamesThatConnectionsAreRedirectedTo) {
  InterceptConfig config;
  config.dns_port = config.outbound_port;
  EXPECT_FALSE(plan(config, sample_facts()));
}

TEST(Plan, KeepsFatesApart) {
  InterceptConfig config;
  config.outbound = {target("10.0.0.1", 80), target("10.0.0.1", 81, OnAgentDeath::closed)};
  const auto made = plan(config, sample_facts());
  ASSERT_TRUE(made);
  EXPECT_EQ(made->outbound.size(), 2U);
  EXPECT_TRUE(made->guards_anything());
  EXPECT_TRUE(made->opens_anything());
}

TEST(Plan, RefusesTwoFatesOfOneTuple) {
  InterceptConfig config;
  config.outbound = {target("10.0.0.1", 80), target("10.0.0.1", 80, OnAgentDeath::closed)};
  EXPECT_FALSE(plan(config, sample_facts()));
  config.outbound.clear();
  config.inbound = {{80, OnAgentDeath::open}, {80, OnAgentDeath::closed}};
  EXPECT_FALSE(plan(config, sample_facts()));
}

TEST(Plan, RefusesWhatIsNeverCaptured) {
  for (const char* prefix : {"127.0.0.1",
                             "127.5.0.0/16",
                             "169.254.169.254",
                             "224.0.0.5",
                             "255.255.255.255",
                             "::1",
                             "fe80::/64",
                             "ff02::1",
                             "fd00:ec2::254"}) {
    InterceptConfig config;
    config.outbound = {target(prefix, 80)};
    const auto made = plan(config, sample_facts());
    ASSERT_FALSE(made) << prefix;
    EXPECT_THAT(made.error().message, HasSubstr("never captured")) << prefix;
  }
}

TEST(Plan, RefusesSshdPortsInBothDirections) {
  InterceptConfig config;
  config.inbound = {{2222, OnAgentDeath::closed}};
  EXPECT_FALSE(plan(config, sample_facts()));
  config.inbound.clear();
  config.outbound = {target("10.0.0.1", 22)};
  EXPECT_FALSE(plan(config, sample_facts()));
}

TEST(Plan, RefusesTheAgentsOwnPortsAsServices) {
  InterceptConfig config;
  config.inbound = {{15006, OnAgentDeath::closed}};
  EXPECT_FALSE(plan(config, sample_facts()));
  config.inbound = {{80, OnAgentDeath::closed}};
  config.outbound_port = config.inbound_port;
  EXPECT_FALSE(plan(config, sample_facts()));
}

TEST(Plan, ExcludesSshdPortsDhcpAndConfiguredPorts) {
  const auto made = plan(sample_config(), sample_facts());
  ASSERT_TRUE(made);
  EXPECT_THAT(made->never_ports, ElementsAre(22, 67, 68, 546, 547, 2222, 9999));
}

TEST(Plan, LeavesOutAnSshPeerInsideAWiderTarget) {
  InterceptConfig config;
  config.outbound = {target("10.0.0.0/8", 80)};
  const auto made = plan(config, sample_facts());
  ASSERT_TRUE(made);
  EXPECT_THAT(made->never, Contains(*parse_prefix("10.9.8.7")));
}

TEST(Plan, CapturesAnSshPeerThatIsAnUpstreamByItsOwnAddress) {
  InterceptConfig config;
  config.outbound = {target("10.9.8.7", 80)};
  const auto made = plan(config, sample_facts());
  ASSERT_TRUE(made);
  EXPECT_THAT(made->never, Not(Contains(*parse_prefix("10.9.8.7"))));
  EXPECT_THAT(made->notes, ElementsAre(HasSubstr("10.9.8.7")));
}

TEST(Plan, SaysWhichTargetAnExclusionSwallows) {
  InterceptConfig config;
  config.outbound = {target("10.1.2.3", 80)};
  config.exclude_addresses = {*parse_prefix("10.1.0.0/16")};
  const auto made = plan(config, sample_facts());
  ASSERT_TRUE(made);
  EXPECT_THAT(made->notes, ElementsAre(HasSubstr("10.1.2.3/32 port 80 is not captured")));
}

TEST(Plan, RefusingOtherTrafficIsCaptureOfEverything) {
  InterceptConfig config;
  config.other = OtherTraffic::refuse;
  config.other_on_agent_death = OnAgentDeath::closed;
  const auto made = plan(config, sample_facts());
  ASSERT_TRUE(made);
  EXPECT_TRUE(made->captures_outbound());
  EXPECT_FALSE(made->captures_inbound());
  EXPECT_TRUE(made->guards_anything());
  EXPECT_FALSE(made->opens_anything());
}

TEST(Plan, OfNothingCapturesNothing) {
  const auto made = plan(InterceptConfig{}, sample_facts());
  ASSERT_TRUE(made);
  EXPECT_FALSE(made->captures_anything());
  EXPECT_FALSE(made->guards_anything());
  EXPECT_THAT(made->notes, IsEmpty());
}

}  // namespace
}  // namespace mooring::transparent_proxy
