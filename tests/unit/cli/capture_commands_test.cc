// mooring capture on, confirm, off, status and plan.
#include "cli_fixture.h"

namespace mooring::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST_F(Cli, CaptureOnSendsWhatTheConfigurationSays) {
  config_text_ += "[capture]\nhelper_socket = \"/tmp/net.sock\"\n";
  EXPECT_EQ(run({"mooring", "capture", "on", "--yes"}), 0);
  EXPECT_THAT(helper_, ElementsAre("on /tmp/net.sock"));
  EXPECT_THAT(captured_.inbound,
              ElementsAre(capture_client::InboundPort{80, capture_client::OnAgentDeath::open}));
}

TEST_F(Cli, CaptureOnIsATrialThatATimerEnds) {
  answer(200, R"([{"target": "upstream db at 10.0.0.7:5432", "problem": ""}])");
  uncaptured_ = 3;
  EXPECT_EQ(run({"mooring", "capture", "on"}), 0);
  EXPECT_THAT(asked_, ElementsAre(std::string(kAsked) + "POST /canary"));
  EXPECT_THAT(helper_, ElementsAre("timer on", "try /run/mooring/net.sock 120"));
  EXPECT_THAT(out_.str(), HasSubstr("upstream db at 10.0.0.7:5432: ok\n"));
  EXPECT_THAT(out_.str(), HasSubstr("3 connections are open already"));
  EXPECT_THAT(out_.str(), HasSubstr("run there within 120 s:\n    mooring capture confirm\n"));
  EXPECT_THAT(out_.str(), Not(HasSubstr("no systemd")));
}

TEST_F(Cli, CaptureOnStopsAtACanaryThatFails) {
  answer(
      200,
      R"([{"target": "upstream db at 10.0.0.7:5432", "problem": "expired"}, {"target": "x", "problem": ""}])");
  EXPECT_EQ(run({"mooring", "capture", "on"}), 1);
  EXPECT_THAT(helper_, IsEmpty());
  EXPECT_THAT(out_.str(), HasSubstr("upstream db at 10.0.0.7:5432: expired\nx: ok\n"));
  EXPECT_EQ(run({"mooring", "capture", "on", "--force"}), 0);
  EXPECT_THAT(helper_, ElementsAre("timer on", "try /run/mooring/net.sock 120"));
}

TEST_F(Cli, CaptureOnStopsWhereAnotherMeshIsInTheWay) {
  answer(200, "[]");
  conflicts_ = std::vector<Diagnostic>{{"rules", "rules of Kuma", "remove the other one first"}};
  EXPECT_EQ(run({"mooring", "capture", "on"}), 1);
  EXPECT_EQ(run({"mooring", "capture", "on", "--yes"}), 1);
  EXPECT_THAT(helper_, IsEmpty());
  EXPECT_THAT(asked_, IsEmpty());
  EXPECT_THAT(err_.str(),
              HasSubstr("rules: rules of Kuma (remove the other one first)\nNothing was captured"));
  EXPECT_EQ(run({"mooring", "capture", "on", "--yes", "--force"}), 0);
  EXPECT_THAT(helper_, ElementsAre("on /run/mooring/net.sock"));
}

TEST_F(Cli, CaptureOnSaysWhenNothingLookedForConflicts) {
  conflicts_ = fail(Diagnostic{"preflight", "cannot be run", ""});
  EXPECT_EQ(run({"mooring", "capture", "on", "--yes"}), 0);
  EXPECT_THAT(err_.str(), HasSubstr("nothing looked for other meshes: preflight: cannot be run"));
}

TEST_F(Cli, CaptureOnWithoutAnAgentIs69) {
  answer_ = fail(Errc::refused, "connect");
  EXPECT_EQ(run({"mooring", "capture", "on"}), 69);
  answer(404, R"({"error": "no such path"})");
  EXPECT_EQ(run({"mooring", "capture", "on"}), 1);
  EXPECT_THAT(err_.str(), HasSubstr("is it an older version?"));
  EXPECT_THAT(helper_, IsEmpty());
}

TEST_F(Cli, CaptureOnCapturesNothingWithoutWhatEndsIt) {
  answer(200, "[]");
  rollback_ = fail(Diagnostic{"systemctl", "Unit mooring-rollback.timer not found", ""});
  EXPECT_EQ(run({"mooring", "capture", "on"}), 1);
  EXPECT_THAT(helper_, ElementsAre("timer on"));
  EXPECT_THAT(err_.str(), HasSubstr("Nothing was captured"));
}

TEST_F(Cli, CaptureOnSaysWhoEndsItWithoutSystemd) {
  answer(200, "[]");
  rollback_ = false;
  EXPECT_EQ(run({"mooring", "capture", "on"}), 0);
  EXPECT_THAT(out_.str(),
              HasSubstr("There is no systemd here: only mooring-net itself ends the trial"));
}

TEST_F(Cli, CaptureOnOfWhatWasConfirmedAsksForNothing) {
  answer(200, "[]");
  is_confirmed_before_ = true;
  EXPECT_EQ(run({"mooring", "capture", "on"}), 0);
  EXPECT_THAT(out_.str(), HasSubstr("All of it was confirmed before."));
  EXPECT_THAT(helper_, ElementsAre("timer on", "try /run/mooring/net.sock 120", "timer off"));
}

TEST_F(Cli, CaptureConfirmStopsTheTimerAfterwards) {
  EXPECT_EQ(run({"mooring", "capture", "confirm"}), 0);
  EXPECT_THAT(helper_, ElementsAre("confirm /run/mooring/net.sock", "timer off"));
  helper_.clear();
  helper_answer_ = fail(Diagnostic{"mooring-net", "this login began before capture", ""});
  EXPECT_NE(run({"mooring", "capture", "confirm"}), 0);
  EXPECT_THAT(helper_, ElementsAre("confirm /run/mooring/net.sock"));
}

TEST_F(Cli, CaptureOnWithABrokenConfigurationChangesNothing) {
  config_text_ = "broken";
  EXPECT_EQ(run({"mooring", "capture", "on"}), 78);
  EXPECT_THAT(helper_, IsEmpty());
}

TEST_F(Cli, CaptureOffWorksEvenWithABrokenConfiguration) {
  config_text_ = "broken";
  EXPECT_EQ(run({"mooring", "capture", "off"}), 0);
  EXPECT_THAT(helper_, ElementsAre("off /run/mooring/net.sock"));
}

TEST_F(Cli, AHelperThatIsNotThereIs69) {
  config_text_ += "[capture]\nhelper_socket = \"/nonexistent/net.sock\"\n";
  helper_answer_ =
      fail(Diagnostic{"/nonexistent/net.sock", "mooring-net does not run", "start it"});
  EXPECT_EQ(run({"mooring", "capture", "off"}), 69);
  EXPECT_THAT(err_.str(), HasSubstr("mooring-net does not run (start it)"));
}

TEST_F(Cli, CaptureStatusIsZeroOnlyWhileActive) {
  EXPECT_EQ(run({"mooring", "capture", "status", "--json"}), 1);
  EXPECT_THAT(out_.str(), HasSubstr("\"state\": \"off\""));
  status_.state = capture_client::CaptureState::active;
  EXPECT_EQ(run({"mooring", "capture", "status"}), 0);
  EXPECT_THAT(out_.str(), HasSubstr("active"));
}

TEST_F(Cli, CapturePlanPrintsTheRules) {
  EXPECT_EQ(run({"mooring", "capture", "plan"}), 0);
  EXPECT_EQ(out_.str(), "table with 1 ports\n");
  out_.str("");
  EXPECT_EQ(run({"mooring", "capture", "plan", "--json"}), 0);
  EXPECT_THAT(out_.str(), HasSubstr("\"inbound_port\": 15006"));
  EXPECT_THAT(helper_, IsEmpty());
}

}  // namespace
}  // namespace mooring::cli
