#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/log.h"
#include "fake_rules.h"
#include "samples.h"
#include "transparent-proxy/helper/control.h"

namespace mooring::transparent_proxy {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using namespace std::chrono_literals;
using Kernel = FakeRules::Kernel;

class FakeClock : public Clock {
 public:
  [[nodiscard]] MonoTime mono() const override { return now; }
  MonoTime now{1000s};
};

InterceptConfig narrow_config() {
  InterceptConfig config = sample_config();
  config.outbound.clear();
  return config;
}

class TrialTest : public testing::Test {
 protected:
  void SetUp() override { log::set_level(log::Level::off); }
  CaptureControl make(SavedState state = {}) {
    return CaptureControl({rules,
                           clock,
                           [] { return sample_facts(); },
                           [] { return sample_facts().name_servers; },
                           []() -> Checked<Bounds> { return Bounds{}; },
                           [this](const SavedState& kept) { saved = kept; },
                           [this](const std::string& text) -> Checked<void> {
                             if (is_disk_full) return fail(Diagnostic{"trial", "full", ""});
                             mark = text;
                             return {};
                           }},
                          std::move(state));
  }
  // A trial of the sample.
  CaptureControl on_trial() {
    CaptureControl control = make();
    control.start();
    control.on_agent_present();
    EXPECT_EQ(control.try_plan(sample_config(), 120s), 120s);
    return control;
  }
  void pass(CaptureControl& control, std::chrono::seconds time) {
    clock.now += time;
    control.on_tick();
  }

  FakeRules rules;
  FakeClock clock;
  SavedState saved;
  std::string mark;
  bool is_disk_full = false;
};

TEST_F(TrialTest, CapturesAndSaysUntilWhen) {
  const CaptureControl control = on_trial();
  EXPECT_EQ(control.status().state, CaptureState::active);
  EXPECT_EQ(rules.kernel, Kernel::captured);
  EXPECT_THAT(control.status().problem, HasSubstr("capture is not confirmed: it ends at "));
  EXPECT_EQ(mark, "120\n");
}

TEST_F(TrialTest, EndsByItself) {
  CaptureControl control = on_trial();
  pass(control, 119s);
  EXPECT_EQ(rules.kernel, Kernel::captured);
  pass(control, 1s);
  EXPECT_EQ(rules.kernel, Kernel::nothing);
  EXPECT_EQ(control.status().state, CaptureState::held_off);
  EXPECT_THAT(control.status().problem, HasSubstr("nobody confirmed capture within 120 s"));
  EXPECT_THAT(mark, IsEmpty());
  control.on_agent_present();
  EXPECT_FALSE(control.activate(sample_config()));
  EXPECT_EQ(rules.kernel, Kernel::nothing);
}

TEST_F(TrialTest, EndsWithoutTheAgentToo) {
  CaptureControl control = on_trial();
  control.on_agent_gone("killed");
  EXPECT_EQ(rules.kernel, Kernel::guarded);
  pass(control, 120s);
  EXPECT_EQ(rules.kernel, Kernel::nothing);
  EXPECT_EQ(control.status().state, CaptureState::held_off);
}

TEST_F(TrialTest, StaysWhenConfirmed) {
  CaptureControl control = on_trial();
  pass(control, 100s);
  ASSERT_TRUE(control.confirm());
  pass(control, 100s);
  EXPECT_EQ(rules.kernel, Kernel::captured);
  EXPECT_EQ(saved, (SavedState{sample_config(), sample_config(), false}));
  EXPECT_THAT(mark, IsEmpty());
  EXPECT_THAT(control.status().problem, IsEmpty());
  EXPECT_FALSE(control.confirm());
}

TEST_F(TrialTest, IsNothingThatARestartRemembers) {
  const CaptureControl control = on_trial();
  EXPECT_EQ(saved, (SavedState{std::nullopt, std::nullopt, true}));
}

TEST_F(TrialTest, EndsWithTheHelper) {
  SavedState state{std::nullopt, std::nullopt, true};
  state.was_on_trial = true;
  rules.kernel = Kernel::captured;
  rules.is_inherited = true;
  CaptureControl control = make(state);
  control.start();
  EXPECT_EQ(rules.kernel, Kernel::nothing);
  EXPECT_EQ(control.status().state, CaptureState::held_off);
  EXPECT_THAT(control.status().problem, HasSubstr("ended before capture was confirmed"));
}

TEST_F(TrialTest, KeepsItsMarkUntilTheRulesAreGone) {
  CaptureControl control = on_trial();
  rules.is_broken = true;
  pass(control, 120s);
  EXPECT_EQ(rules.kernel, Kernel::captured);
  EXPECT_EQ(mark, "120\n");
  rules.is_inherited = true;
  EXPECT_TRUE(control.needs_owner_back());
  rules.is_broken = rules.is_inherited = false;
  pass(control, 1s);
  EXPECT_EQ(rules.kernel, Kernel::nothing);
  EXPECT_THAT(mark, IsEmpty());
  EXPECT_FALSE(control.needs_owner_back());
}

TEST_F(TrialTest, OfMoreGoesBackToWhatWasConfirmed) {
  CaptureControl control = make();
  control.on_agent_present();
  ASSERT_TRUE(control.set_plan(narrow_config()));
  EXPECT_EQ(control.try_plan(sample_config(), 120s), 120s);
  EXPECT_EQ(saved, (SavedState{narrow_config(), narrow_config(), false}));
  pass(control, 120s);
  EXPECT_EQ(control.status().state, CaptureState::active);
  EXPECT_EQ(control.status().config, narrow_config());
  EXPECT_FALSE(control.activate(sample_config()));
}

TEST_F(TrialTest, OfMoreGoesBackToTheGuardOfWhatWasConfirmedWithoutTheAgent) {
  CaptureControl control = make();
  control.on_agent_present();
  ASSERT_TRUE(control.set_plan(narrow_config()));
  ASSERT_TRUE(control.try_plan(sample_config(), 120s));
  control.on_agent_gone("killed");
  pass(control, 120s);
  EXPECT_EQ(control.status().state, CaptureState::agent_dead);
  control.on_agent_present();
  EXPECT_EQ(control.status().config, narrow_config());
}

TEST_F(TrialTest, OfNoMoreThanBeforeIsNone) {
  CaptureControl control = make();
  control.on_agent_present();
  ASSERT_TRUE(control.set_plan(sample_config()));
  EXPECT_EQ(control.try_plan(narrow_config(), 120s), 0s);
  pass(control, 200s);
  EXPECT_EQ(control.status().config, narrow_config());
}

TEST_F(TrialTest, AnotherOneStillGoesBackToTheBeginning) {
  CaptureControl control = make();
  control.on_agent_present();
  ASSERT_TRUE(control.try_plan(narrow_config(), 120s));
  pass(control, 60s);
  ASSERT_TRUE(control.try_plan(sample_config(), 120s));
  pass(control, 119s);
  EXPECT_EQ(rules.kernel, Kernel::captured);
  pass(control, 1s);
  EXPECT_EQ(rules.kernel, Kernel::nothing);
}

TEST_F(TrialTest, IsOverWhenRootSaysYesOrOff) {
  CaptureControl control = on_trial();
  ASSERT_TRUE(control.set_plan(sample_config()));
  EXPECT_THAT(mark, IsEmpty());
  pass(control, 120s);
  EXPECT_EQ(rules.kernel, Kernel::captured);
  ASSERT_TRUE(control.drop(CaptureControl::Caller::root));
  ASSERT_TRUE(control.try_plan(sample_config(), 120s));
  ASSERT_TRUE(control.drop(CaptureControl::Caller::root));
  EXPECT_THAT(mark, IsEmpty());
  EXPECT_FALSE(control.confirm());
}

TEST_F(TrialTest, NeedsADiskToGoBackFrom) {
  CaptureControl control = make();
  control.on_agent_present();
  is_disk_full = true;
  EXPECT_FALSE(control.try_plan(sample_config(), 120s));
  EXPECT_EQ(rules.kernel, Kernel::nothing);
}

TEST_F(TrialTest, ThatCannotBeAppliedLeavesNothing) {
  CaptureControl control = make();
  control.on_agent_present();
  rules.is_broken = true;
  EXPECT_FALSE(control.try_plan(sample_config(), 120s));
  EXPECT_THAT(mark, IsEmpty());
  EXPECT_FALSE(saved.is_held_off);
  EXPECT_FALSE(control.is_on_trial());
}

TEST_F(TrialTest, NeedsAnAgent) {
  CaptureControl control = make();
  EXPECT_FALSE(control.try_plan(sample_config(), 120s));
}

}  // namespace
}  // namespace mooring::transparent_proxy
