#include "transparent-proxy/bounds.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "samples.h"

namespace mooring::transparent_proxy {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr const char* kEverything = R"([inbound]
ports = [5432, "8000-8099"]
stay_closed = [5432]
[outbound]
addresses = ["10.0.0.0/8", "fd00::/8"]
ports = ["1-65535"]
refuse_other = true
redirect_dns = true
)";

Bounds bounds(std::string_view text) {
  auto parsed = parse_bounds(text, "capture.toml");
  EXPECT_TRUE(parsed) << describe(parsed.error());
  return parsed.value_or(Bounds{});
}

std::string complaint(std::string_view text) {
  const auto parsed = parse_bounds(text, "capture.toml");
  return parsed ? "accepted" : describe(parsed.error());
}

std::string verdict(const InterceptConfig& wanted,
                    const Bounds& allowed,
                    const InterceptConfig* root = nullptr) {
  const auto checked = check_allowed(wanted, allowed, root);
  return checked ? "allowed" : describe(checked.error());
}

TEST(Bounds, ReadsEveryKey) {
  const Bounds read = bounds(kEverything);
  EXPECT_THAT(read.inbound_ports, ElementsAre(PortRange{5432, 5432}, PortRange{8000, 8099}));
  EXPECT_THAT(read.stay_closed, ElementsAre(PortRange{5432, 5432}));
  EXPECT_THAT(read.outbound_addresses,
              ElementsAre(*parse_prefix("10.0.0.0/8"), *parse_prefix("fd00::/8")));
  EXPECT_THAT(read.outbound_ports, ElementsAre(PortRange{1, 65535}));
  EXPECT_TRUE(read.may_refuse_other);
  EXPECT_TRUE(read.may_redirect_dns);
}

TEST(Bounds, KeepsFromTheLibraryWhatItDoesNotSurvive) {
  EXPECT_THAT(complaint("[inbound]\nb\xc3\xa9 = 1\n"),
              HasSubstr("capture.toml:2:2: a character outside of ASCII"));
  EXPECT_THAT(complaint("[inbound]\nports = [1]\xe2\x80\x83\n"), HasSubstr("capture.toml:2:12: "));
  EXPECT_EQ(complaint("# caf\xc3\xa9\n[inbound]\nports = [1]\n"), "accepted");
  std::string deep = "a";
  for (int i = 0; i < 20000; ++i)
    deep += ".a";
  EXPECT_THAT(complaint(deep + " = 1\n"), HasSubstr("too many dotted keys"));
}

TEST(Bounds, NamesThePlaceOfAMistake) {
  EXPECT_THAT(complaint("[inbound]\nports = [0]\n"),
              HasSubstr("capture.toml:2:10: is neither a port"));
  EXPECT_THAT(complaint("[inbound]\nports = [\"9-8\"]\n"), HasSubstr("is neither a port"));
  EXPECT_THAT(complaint("[inbound]\nports = 80\n"), HasSubstr("is not a list"));
  EXPECT_THAT(complaint("[outbound]\naddresses = [\"10.0.0.1/8\"]\n"),
              HasSubstr("is not an address block"));
  EXPECT_THAT(complaint("[outbound]\naddresses = [7]\n"), HasSubstr("is not an address block"));
  EXPECT_THAT(complaint("[outbound]\nrefuse_other = 1\n"), HasSubstr("neither true nor false"));
  EXPECT_THAT(complaint("[outbound]\nother = true\n"), HasSubstr("unknown key outbound.other"));
  EXPECT_THAT(complaint("ports = [1]\n"), HasSubstr("unknown key ports"));
  EXPECT_THAT(complaint("inbound = 7\n"), HasSubstr("is not a table"));
  EXPECT_THAT(complaint("[inbound\n"), HasSubstr("capture.toml:"));
}

TEST(CheckAllowed, NothingIsAllowedWithoutAFile) {
  EXPECT_THAT(verdict(sample_config(), Bounds{}),
              HasSubstr("inbound port 8080: is not in inbound.ports"));
  EXPECT_EQ(verdict(InterceptConfig{}, Bounds{}), "allowed");
}

TEST(CheckAllowed, HoldsEveryPartToTheBounds) {
  const Bounds allowed = bounds(kEverything);
  InterceptConfig wanted;
  wanted.inbound = {{8099, OnAgentDeath::open}};
  wanted.outbound = {{*parse_prefix("10.1.0.0/16"), 80, OnAgentDeath::open}};
  EXPECT_EQ(verdict(wanted, allowed), "allowed");
  wanted.outbound[0].prefix = *parse_prefix("0.0.0.0/0");
  EXPECT_THAT(verdict(wanted, allowed), HasSubstr("outbound.addresses"));
  wanted.outbound[0].prefix = *parse_prefix("fe00::/8");
  EXPECT_THAT(verdict(wanted, allowed), HasSubstr("outbound.addresses"));
  wanted.outbound.clear();
  wanted.inbound[0].port = 8100;
  EXPECT_THAT(verdict(wanted, allowed), HasSubstr("inbound.ports"));
}

TEST(CheckAllowed, KeepsClosedWhatRootWantsClosed) {
  const Bounds allowed = bounds(kEverything);
  InterceptConfig wanted;
  wanted.inbound = {{5432, OnAgentDeath::closed}};
  EXPECT_EQ(verdict(wanted, allowed), "allowed");
  wanted.inbound[0].on_agent_death = OnAgentDeath::open;
  EXPECT_THAT(verdict(wanted, allowed), HasSubstr("stay_closed"));
}

TEST(CheckAllowed, RefusingOtherTrafficNeedsPermission) {
  InterceptConfig wanted;
  wanted.other = OtherTraffic::refuse;
  EXPECT_THAT(verdict(wanted, Bounds{}), HasSubstr("refuse_other"));
  EXPECT_EQ(verdict(wanted, bounds(kEverything)), "allowed");
  EXPECT_EQ(verdict(wanted, Bounds{}, &wanted), "allowed");
}

TEST(CheckAllowed, WhatRootSetIsAllowed) {
  const InterceptConfig root = sample_config();
  EXPECT_EQ(verdict(root, Bounds{}, &root), "allowed");
  InterceptConfig opened = root;
  opened.inbound[0].on_agent_death = OnAgentDeath::open;
  EXPECT_THAT(verdict(opened, Bounds{}, &root), HasSubstr("inbound port 8080"));
}

TEST(CheckNarrower, AllowsSubsetsOnly) {
  const InterceptConfig wider = sample_config();
  InterceptConfig narrower = wider;
  narrower.outbound.pop_back();
  narrower.inbound.pop_back();
  EXPECT_TRUE(check_narrower(narrower, wider));
  EXPECT_FALSE(check_narrower(wider, narrower));
  narrower = wider;
  narrower.outbound[0].prefix = *parse_prefix("10.1.7.0/24");
  EXPECT_TRUE(check_narrower(narrower, wider));
  narrower.outbound[0].prefix = *parse_prefix("10.0.0.0/8");
  EXPECT_FALSE(check_narrower(narrower, wider));
  narrower = wider;
  narrower.other = OtherTraffic::refuse;
  EXPECT_FALSE(check_narrower(narrower, wider));
  narrower = wider;
  narrower.inbound_port = 9;
  EXPECT_FALSE(check_narrower(narrower, wider));
}

}  // namespace
}  // namespace mooring::transparent_proxy
