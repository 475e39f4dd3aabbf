#include "transparent-proxy/helper/control.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/log.h"
#include "fake_rules.h"
#include "samples.h"

namespace mooring::transparent_proxy {
namespace {

using testing::HasSubstr;
using namespace std::chrono_literals;

class FakeClock : public Clock {
 public:
  [[nodiscard]] MonoTime mono() const override { return now; }
  MonoTime now{1000s};
};

class Control : public testing::Test {
 protected:
  void SetUp() override { log::set_level(log::Level::off); }
  CaptureControl make(SavedState state = {}) {
    return CaptureControl({rules,
                           clock,
                           [this] {
                             HostFacts facts = sample_facts();
                             facts.name_servers = name_servers;
                             return facts;
                           },
                           [this] { return name_servers; },
                           [this]() -> Checked<Bounds> { return bounds; },
                           [this](const SavedState& kept) { saved = kept; },
                           {},
                           [this](std::uint16_t port) { forgotten.push_back(port); }},
                          std::move(state));
  }
  static Bounds everything() {
    return {{PortRange{}},
            {},
            {*parse_prefix("0.0.0.0/0"), *parse_prefix("::/0")},
            {PortRange{}},
            true};
  }
  // An agent that captures.
  CaptureControl active() {
    CaptureControl control = make();
    control.start();
    control.on_agent_present();
    EXPECT_TRUE(control.activate(sample_config()));
    return control;
  }

  FakeRules rules;
  FakeClock clock;
  Bounds bounds = everything();
  std::vector<std::uint16_t> forgotten;  // ports of queries
  std::vector<IpAddress> name_servers = sample_facts().name_servers;
  SavedState saved;
};

using Kernel = FakeRules::Kernel;

TEST_F(Control, ActivatesWithinTheBounds) {
  CaptureControl control = active();
  EXPECT_EQ(control.status().state, CaptureState::active);
  EXPECT_EQ(rules.kernel, Kernel::captured);
  EXPECT_EQ(saved.active, sample_config());
}

TEST_F(Control, RefusesBeyondTheBounds) {
  bounds = Bounds{};
  CaptureControl control = make();
  control.on_agent_present();
  EXPECT_FALSE(control.activate(sample_config()));
  EXPECT_EQ(rules.captures, 0);
  EXPECT_EQ(control.status().state, CaptureState::off);
}

InterceptConfig with_names() {
  InterceptConfig config = sample_config();
  config.dns_port = 15053;
  return config;
}

TEST_F(Control, QueriesForNamesAreRedirectedWhereThatIsAllowedAndNotWithoutTheAgent) {
  using capture_client::DnsRedirection;
  CaptureControl control = make();
  control.on_agent_present();
  EXPECT_EQ(control.status().dns, DnsRedirection::not_allowed);
  const auto refused = control.activate(with_names());
  ASSERT_FALSE(refused);
  EXPECT_THAT(describe(refused.error()), HasSubstr("outbound.redirect_dns"));
  bounds.may_redirect_dns = true;
  ASSERT_TRUE(control.activate(sample_config()));
  EXPECT_EQ(control.status().dns, DnsRedirection::allowed);
  ASSERT_TRUE(control.activate(with_names()));
  EXPECT_EQ(control.status().dns, DnsRedirection::active);
  EXPECT_TRUE(rules.last.redirects_dns());
  EXPECT_TRUE(forgotten.empty());
  control.on_agent_gone("killed");
  EXPECT_EQ(forgotten, std::vector<std::uint16_t>{15053});
  EXPECT_EQ(rules.kernel, Kernel::guarded);
  EXPECT_NE(control.status().dns, DnsRedirection::active);
}

TEST_F(Control, RulesFollowTheHostsResolvers) {
  bounds.may_redirect_dns = true;
  CaptureControl control = make();
  control.on_agent_present();
  ASSERT_TRUE(control.activate(with_names()));
  clock.now += 1s;
  control.on_tick();
  EXPECT_EQ(rules.captures, 1);
  name_servers = {*parse_ip("10.0.0.54")};
  clock.now += 1s;
  control.on_tick();
  EXPECT_EQ(rules.captures, 2);
  EXPECT_EQ(rules.last.dns.resolvers, std::vector{*parse_prefix("10.0.0.54")});
}

TEST_F(Control, AppliesOnAgentDeathAndCountsTheOpening) {
  CaptureControl control = active();
  control.on_agent_gone("killed");
  EXPECT_EQ(rules.kernel, Kernel::guarded);
  EXPECT_EQ(control.status().state, CaptureState::agent_dead);
  EXPECT_EQ(control.status().openings, 1U);
  EXPECT_EQ(control.status().problem, "killed");
}

TEST_F(Control, OpensNothingWhereEverythingIsClosed) {
  CaptureControl control = make();
  control.on_agent_present();
  InterceptConfig config;
  config.inbound = {{80, OnAgentDeath::closed}};
  ASSERT_TRUE(control.activate(config));
  control.on_agent_gone("killed");
  EXPECT_EQ(rules.kernel, Kernel::guarded);
  EXPECT_EQ(control.status().openings, 0U);
}

TEST_F(Control, TheSameAgentGetsItsCaptureBackANewOneAsksForIt) {
  CaptureControl control = active();
  control.on_agent_gone("stalled");
  control.on_agent_recovered();
  EXPECT_EQ(rules.kernel, Kernel::captured);
  control.on_agent_gone("killed");
  control.on_agent_present();
  EXPECT_EQ(rules.kernel, Kernel::guarded);
  EXPECT_TRUE(control.activate(sample_config()));
  EXPECT_EQ(rules.kernel, Kernel::captured);
}

TEST_F(Control, TriesTheReleaseAgainEachSecond) {
  CaptureControl control = active();
  rules.is_broken = true;
  control.on_agent_gone("killed");
  EXPECT_EQ(rules.kernel, Kernel::captured);
  rules.is_broken = false;
  control.on_tick();
  EXPECT_EQ(rules.releases, 0);
  clock.now += 1s;
  control.on_tick();
  EXPECT_EQ(rules.kernel, Kernel::guarded);
}

TEST_F(Control, AnOrderlyStopOfTheAgentIsNoWayToOpenWhatIsClosed) {
  CaptureControl control = active();
  EXPECT_TRUE(control.drop(CaptureControl::Caller::agent));
  EXPECT_EQ(rules.kernel, Kernel::guarded);
}

TEST_F(Control, RootSwitchesOffForGood) {
  CaptureControl control = active();
  EXPECT_TRUE(control.drop(CaptureControl::Caller::root));
  EXPECT_EQ(rules.kernel, Kernel::nothing);
  EXPECT_EQ(control.status().state, CaptureState::held_off);
  EXPECT_TRUE(saved.is_held_off);
  EXPECT_FALSE(control.activate(sample_config()));
  EXPECT_TRUE(control.set_plan(sample_config()));
  EXPECT_EQ(rules.kernel, Kernel::captured);
  EXPECT_FALSE(saved.is_held_off);
}

TEST_F(Control, RootsPlanNeedsAnAgentAndComesBackWithIt) {
  CaptureControl control = make();
  EXPECT_FALSE(control.set_plan(sample_config()));
  control.on_agent_present();
  bounds = Bounds{};
  EXPECT_TRUE(control.set_plan(sample_config()));
  control.on_agent_gone("killed");
  control.on_agent_present();
  EXPECT_EQ(rules.kernel, Kernel::captured);
  EXPECT_TRUE(control.activate(sample_config())) << "what root set is allowed to the agent";
}

TEST_F(Control, WantingNothingCapturesNothing) {
  CaptureControl control = active();
  EXPECT_TRUE(control.activate(InterceptConfig{}));
  EXPECT_EQ(rules.kernel, Kernel::nothing);
  EXPECT_EQ(control.status().state, CaptureState::off);
  control.on_agent_gone("killed");
  EXPECT_EQ(control.status().openings, 0U);
}

TEST_F(Control, NarrowsOnly) {
  CaptureControl control = active();
  InterceptConfig narrower = sample_config();
  narrower.inbound.clear();
  EXPECT_TRUE(control.narrow(narrower));
  EXPECT_FALSE(rules.last.captures_inbound());
  EXPECT_FALSE(control.narrow(sample_config()));
}

TEST_F(Control, RepairsFiveTimesAMinuteThenAppliesOnAgentDeath) {
  CaptureControl control = active();
  rules.is_untouched = false;
  for (int i = 0; i < 5; ++i) {
    control.on_rules_changed();
    clock.now += 1s;
  }
  EXPECT_EQ(control.status().repairs, 5U);
  EXPECT_EQ(rules.kernel, Kernel::captured);
  control.on_rules_changed();
  EXPECT_EQ(control.status().state, CaptureState::gave_up);
  EXPECT_EQ(rules.kernel, Kernel::guarded);
  const int captures = rules.captures;
  clock.now += 120s;
  control.on_rules_changed();
  EXPECT_EQ(rules.captures, captures) << "giving up is for good, until somebody asks again";
  EXPECT_TRUE(control.activate(sample_config()));
  EXPECT_EQ(control.status().state, CaptureState::active);
}

TEST_F(Control, RepairsTheGuardToo) {
  CaptureControl control = active();
  control.on_agent_gone("killed");
  rules.is_untouched = false;
  control.on_rules_changed();
  EXPECT_EQ(rules.releases, 2);
  EXPECT_EQ(control.status().state, CaptureState::agent_dead);
}

TEST_F(Control, SlowRepairsGoOnForEver) {
  CaptureControl control = active();
  rules.is_untouched = false;
  for (int i = 0; i < 20; ++i) {
    control.on_rules_changed();
    clock.now += 15s;
  }
  EXPECT_EQ(control.status().repairs, 20U);
  EXPECT_EQ(control.status().state, CaptureState::active);
}

TEST_F(Control, GuardsAtStartWhatWasCapturedBefore) {
  CaptureControl control = make({sample_config(), std::nullopt, false});
  control.start();
  EXPECT_EQ(rules.kernel, Kernel::guarded);
  EXPECT_EQ(control.status().state, CaptureState::agent_dead);
}

TEST_F(Control, GuardsNothingAtStartWhenHeldOff) {
  CaptureControl control = make({std::nullopt, std::nullopt, true});
  control.start();
  EXPECT_EQ(rules.kernel, Kernel::nothing);
  EXPECT_EQ(control.status().state, CaptureState::held_off);
}

TEST_F(Control, GivesTheAgentTwoSecondsToComeBackToInheritedRules) {
  rules.is_inherited = true;
  rules.kernel = Kernel::captured;
  CaptureControl control = make({sample_config(), std::nullopt, false});
  control.start();
  clock.now += 1900ms;
  control.on_tick();
  EXPECT_EQ(rules.kernel, Kernel::captured);
  clock.now += 200ms;
  control.on_tick();
  EXPECT_EQ(rules.kernel, Kernel::guarded);
  EXPECT_EQ(control.status().openings, 1U);
}

TEST_F(Control, InheritedRulesAreTakenOverByTheAgentThatComesBack) {
  rules.is_inherited = true;
  CaptureControl control = make({sample_config(), std::nullopt, false});
  control.start();
  control.on_agent_present();
  EXPECT_TRUE(control.activate(sample_config()));
  clock.now += 10s;
  control.on_tick();
  EXPECT_EQ(rules.releases, 0);
  EXPECT_EQ(control.status().openings, 0U);
}

TEST_F(Control, RemovesInheritedRulesThatNobodyCanExplain) {
  rules.is_inherited = true;
  rules.kernel = Kernel::captured;
  CaptureControl control = make();
  control.start();
  clock.now += 3s;
  control.on_tick();
  EXPECT_EQ(rules.kernel, Kernel::nothing);
}

TEST_F(Control, AFailedApplyIsReportedAndChangesNothing) {
  CaptureControl control = make();
  control.on_agent_present();
  rules.is_broken = true;
  const auto done = control.activate(sample_config());
  ASSERT_FALSE(done);
  EXPECT_EQ(control.status().state, CaptureState::off);
  EXPECT_THAT(control.status().problem, HasSubstr("kernel"));
}

TEST(State, SurvivesTheRoundTrip) {
  InterceptConfig other;
  other.inbound = {{80, OnAgentDeath::open}};
  for (const SavedState& state : {SavedState{},
                                  SavedState{sample_config(), std::nullopt, false},
                                  SavedState{std::nullopt, other, true},
                                  SavedState{sample_config(), other, false}}) {
    const auto back = decode_state(encode_state(state));
    ASSERT_TRUE(back);
    EXPECT_EQ(*back, state);
  }
}

TEST(State, RefusesDamage) {
  const std::string good = encode_state({sample_config(), std::nullopt, true});
  for (std::size_t size = 0; size < good.size(); ++size)
    EXPECT_FALSE(decode_state(good.substr(0, size))) << size;
  EXPECT_FALSE(decode_state(good + "x"));
}

}  // namespace
}  // namespace mooring::transparent_proxy
