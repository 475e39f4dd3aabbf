#include "cli/cli.h"

#include <gmock/gmock.h>

#include <sstream>

#include "config/load.h"

namespace mooring::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

/// A host whose agent and helper answer what the test says, and that remembers what it was asked.
class Cli : public ::testing::Test {
 protected:
  Cli() {
    environment_.out = &out_;
    environment_.err = &err_;
    environment_.admin =
        [this](const std::string& socket, std::string_view method, const std::string& target) {
          asked_.push_back(fmt::format("{} {} {}", socket, method, target));
          return answer_;
        };
    environment_.load_config = [this](const std::string& file) {
      loaded_.push_back(file);
      return config::parse({{file, config_text_}});
    };
    environment_.capture_on = [this](const std::string& socket,
                                     const capture_client::InterceptConfig& config) {
      helper_.push_back("on " + socket);
      captured_ = config;
      return helper_answer_;
    };
    environment_.capture_try = [this](const std::string& socket,
                                      const capture_client::InterceptConfig& config,
                                      std::chrono::seconds limit) -> Checked<std::chrono::seconds> {
      helper_.push_back(fmt::format("try {} {}", socket, limit.count()));
      captured_ = config;
      if (!helper_answer_) return fail(helper_answer_.error());
      return is_confirmed_before_ ? std::chrono::seconds{0} : limit;
    };
    environment_.capture_confirm = [this](const std::string& socket) {
      helper_.push_back("confirm " + socket);
      return helper_answer_;
    };
    environment_.count_uncaptured = [this](const capture_client::InterceptConfig&, std::uint32_t) {
      return Checked<std::size_t>(uncaptured_);
    };
    environment_.set_rollback = [this](bool on) {
      helper_.push_back(on ? "timer on" : "timer off");
      return rollback_;
    };
    environment_.capture_off = [this](const std::string& socket) {
      helper_.push_back("off " + socket);
      return helper_answer_;
    };
    environment_.capture_status = [this](const std::string&) {
      return Checked<capture_client::Status>(status_);
    };
    environment_.capture_plan = [](const capture_client::InterceptConfig& config,
                                   const std::string& /*backend*/) {
      return Checked<std::string>(fmt::format("table with {} ports\n", config.inbound.size()));
    };
    environment_.exec = [this](const std::string& path, const std::vector<std::string>& arguments) {
      executed_ = arguments;
      executed_.insert(executed_.begin(), path);
      return Error{Errc::not_found, ENOENT, "exec"};
    };
    environment_.daemon = [this](const DaemonOptions& options) {
      daemon_file_ = options.config_file;
      return 0;
    };
  }

  int run(std::vector<const char*> arguments) {
    return cli::run(static_cast<int>(arguments.size()), arguments.data(), environment_);
  }

  void answer(int status, std::string body) { answer_ = AdminAnswer{status, std::move(body)}; }

  std::ostringstream out_;
  std::ostringstream err_;
  Environment environment_;
  Result<AdminAnswer> answer_ = AdminAnswer{200, "{}"};
  Checked<void> helper_answer_;
  Checked<bool> rollback_ = true;
  std::size_t uncaptured_ = 0;
  bool is_confirmed_before_ = false;
  capture_client::Status status_;
  capture_client::InterceptConfig captured_;
  std::string config_text_ =
      "[host]\ntrust_domain = \"a\"\n[[service]]\nname = \"s\"\nport = 80\nmode = \"permissive\"\n";
  std::vector<std::string> asked_, loaded_, helper_, executed_;
  std::string daemon_file_;
};

constexpr const char* kAsked = "/run/mooring/admin.sock ";

TEST_F(Cli, StatusIsZeroOnlyWhenReady) {
  answer(200, R"({"ready": true})");
  EXPECT_EQ(run({"mooring", "status"}), 0);
  answer(200, R"({"ready": false})");
  EXPECT_EQ(run({"mooring", "status"}), 1);
  EXPECT_THAT(
      asked_,
      ElementsAre(std::string(kAsked) + "GET /status", std::string(kAsked) + "GET /status"));
}

TEST_F(Cli, JsonIsPrintedAsItIs) {
  answer(200, "{\"ready\":true,  \"later\": 1}\n");
  EXPECT_EQ(run({"mooring", "status", "--json"}), 0);
  EXPECT_EQ(out_.str(), "{\"ready\":true,  \"later\": 1}\n");
  out_.str("");
  answer(200, "[ ]\n");
  EXPECT_EQ(run({"mooring", "why", "--json"}), 0);
  EXPECT_EQ(out_.str(), "[ ]\n");
}

TEST_F(Cli, AnAgentThatIsNotThereIs69) {
  answer_ = fail(Errc::refused, "connect");
  EXPECT_EQ(run({"mooring", "status"}), 69);
  EXPECT_THAT(err_.str(), HasSubstr("Is mooringd running?"));
  EXPECT_THAT(out_.str(), IsEmpty());
}

TEST_F(Cli, ASocketThatIsClosedToUsIs77) {
  answer_ = fail(Errc::permission, "connect");
  EXPECT_EQ(run({"mooring", "why"}), 77);
  answer(403, R"({"error": "only root may drain"})");
  EXPECT_EQ(run({"mooring", "drain"}), 77);
  EXPECT_THAT(err_.str(), HasSubstr("only root may drain"));
}

TEST_F(Cli, AnswersThatAreNoJsonAreOne) {
  answer(200, "<html>");
  EXPECT_EQ(run({"mooring", "status"}), 1);
  EXPECT_EQ(run({"mooring", "why"}), 1);
  answer(500, "");
  EXPECT_EQ(run({"mooring", "drain"}), 1);
}

TEST_F(Cli, WhyAsksForTheNumberOfConnections) {
  answer(200, "[]");
  EXPECT_EQ(run({"mooring", "why", "-n", "3"}), 0);
  EXPECT_EQ(run({"mooring", "why"}), 0);
  EXPECT_THAT(asked_,
              ElementsAre(std::string(kAsked) + "GET /why?limit=3",
                          std::string(kAsked) + "GET /why?limit=10"));
}

TEST_F(Cli, ReloadSaysWhatWasRefused) {
  answer(
      422,
      R"({"problems": [{"path": "agent.toml:3:1", "message": "unknown key", "hint": "did you mean port?"}]})");
  EXPECT_EQ(run({"mooring", "reload"}), 78);
  EXPECT_THAT(
      err_.str(),
      HasSubstr(
          "the running one is untouched:\nagent.toml:3:1: unknown key (did you mean port?)\n"));
  answer(200, R"({"generation": 4, "warnings": ["loopback"]})");
  EXPECT_EQ(run({"mooring", "reload"}), 0);
  EXPECT_EQ(out_.str(), "Generation 4 is in force.\n");
  EXPECT_THAT(err_.str(), HasSubstr("warning: loopback\n"));
}

TEST_F(Cli, LogLevelTakesKnownLevelsOnly) {
  EXPECT_EQ(run({"mooring", "log-level", "debug"}), 0);
  EXPECT_THAT(asked_, ElementsAre(std::string(kAsked) + "POST /logging?level=debug"));
  EXPECT_EQ(run({"mooring", "log-level", "loud"}), 2);
  EXPECT_EQ(run({"mooring", "log-level"}), 2);
  EXPECT_EQ(asked_.size(), 1U);
}

TEST_F(Cli, SocketMayStandBeforeOrAfterTheCommand) {
  answer(200, R"({"ready": true})");
  EXPECT_EQ(run({"mooring", "--socket", "/a", "status"}), 0);
  EXPECT_EQ(run({"mooring", "status", "--socket", "/b"}), 0);
  EXPECT_THAT(asked_, ElementsAre("/a GET /status", "/b GET /status"));
}

TEST_F(Cli, WrongUsageIsTwo) {
  EXPECT_EQ(run({"mooring"}), 2);
  EXPECT_EQ(run({"mooring", "sttaus"}), 2);
  EXPECT_EQ(run({"mooring", "capture"}), 2);
  EXPECT_EQ(run({"mooring", "status", "--jsn"}), 2);
  EXPECT_EQ(run({"mooring", "why", "-n", "0"}), 2);
  EXPECT_THAT(asked_, IsEmpty());
}

TEST_F(Cli, AnUnknownCommandGetsTheNearestOne) {
  EXPECT_EQ(run({"mooring", "sttaus"}), 2);
  EXPECT_THAT(err_.str(),
              StartsWith("mooring: \"sttaus\" is not understood; did you mean status?\n"));
  err_.str("");
  EXPECT_EQ(run({"mooring", "capture", "pln"}), 2);
  EXPECT_THAT(err_.str(), StartsWith("mooring: \"pln\" is not understood; did you mean plan?\n"));
  err_.str("");
  EXPECT_EQ(run({"mooringd", "elephant"}), 2);
  EXPECT_THAT(err_.str(), StartsWith("mooringd: \"elephant\" is not understood\n"));
}

TEST_F(Cli, HelpNamesTheExitCodes) {
  EXPECT_EQ(run({"mooring", "--help"}), 0);
  for (const char* code : {"0 done", "1 the answer is no", "2 wrong usage", "69", "77", "78"}) {
    EXPECT_THAT(out_.str(), HasSubstr(code));
  }
}

TEST_F(Cli, VersionIsPrinted) {
  EXPECT_EQ(run({"mooring", "version"}), 0);
  EXPECT_EQ(run({"mooring", "--version"}), 0);
  EXPECT_EQ(run({"mooringd", "--version"}), 0);
  EXPECT_EQ(out_.str(),
            "mooring " MOORING_VERSION "\nmooring " MOORING_VERSION "\nmooringd " MOORING_VERSION
            "\n");
}

TEST_F(Cli, VersionNamesWhatTheProgramsWereBuiltWith) {
  EXPECT_EQ(run({"mooring", "version", "--deps"}), 0);
  EXPECT_THAT(out_.str(), StartsWith("mooring " MOORING_VERSION "\nopenssl        "));
  for (const char* name : {"\nlibuv ", "\nfmt ", "\nspdlog ", "\ncli11 ", "\nllhttp "}) {
    EXPECT_THAT(out_.str(), HasSubstr(name));
  }
}

TEST_F(Cli, ConfigCheckIsZeroOr78) {
  EXPECT_EQ(run({"mooring", "config", "check"}), 0);
  EXPECT_EQ(out_.str(), "/etc/mooring/agent.toml: correct, 1 service, 0 upstreams, 0 warnings\n");
  config_text_ += "prot = 1\n";
  EXPECT_EQ(run({"mooring", "config", "check", "/tmp/other.toml"}), 78);
  EXPECT_THAT(
      err_.str(),
      StartsWith(
          "/tmp/other.toml:7:1: unknown key \"prot\" in [[service]] (did you mean \"port\"?)\n"));
  EXPECT_THAT(loaded_, ElementsAre("/etc/mooring/agent.toml", "/tmp/other.toml"));
}

TEST_F(Cli, ConfigCheckLooksIntoTheFilesThatAreNamed) {
  environment_.check_files = [](const config::AgentConfig&) {
    return std::vector<Diagnostic>{{"/etc/mooring/key.pem", "cannot be read", ""}};
  };
  EXPECT_EQ(run({"mooring", "config", "check"}), 78);
  EXPECT_THAT(err_.str(), HasSubstr("/etc/mooring/key.pem: cannot be read"));
}

TEST_F(Cli, ConfigDiffSaysWhatTheControlPlaneChanged) {
  answer(200, R"({"control_plane": {"last_update": {"at": "2026-11-24T02:59:20Z", "changes": [
      {"type": "clusters", "added": ["db"], "changed": [], "removed": []}]}}})");
  EXPECT_EQ(run({"mooring", "config", "diff"}), 0);
  EXPECT_THAT(asked_, ElementsAre("/run/mooring/admin.sock GET /status"));
  EXPECT_THAT(out_.str(), HasSubstr("added    clusters   db"));
  EXPECT_EQ(run({"mooring", "config", "diff", "--json"}), 0);
  EXPECT_THAT(out_.str(), HasSubstr("\"at\": \"2026-11-24T02:59:20Z\""));
  answer(503, R"({"control_plane": null})");
  EXPECT_EQ(run({"mooring", "config", "diff"}), 1);
  EXPECT_THAT(out_.str(), HasSubstr("has joined no control plane"));
}

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

TEST_F(Cli, ScriptsGetWhatTheCommandLineDoesNotKnow) {
  EXPECT_EQ(run({"mooring", "preflight", "--json", "--strict", "--port", "5432"}), 69);
  EXPECT_THAT(
      executed_,
      ElementsAre("/usr/libexec/mooring/preflight", "--json", "--strict", "--port", "5432"));
  EXPECT_THAT(err_.str(), HasSubstr("/usr/libexec/mooring/preflight is not installed"));
  EXPECT_EQ(run({"mooring", "verify-host", "--more", "--expect", "removed", "rest"}), 69);
  EXPECT_THAT(
      executed_,
      ElementsAre("/usr/libexec/mooring/verify-host", "--expect", "removed", "--more", "rest"));
}

TEST_F(Cli, HelpOfAScriptDoesNotNeedTheScript) {
  EXPECT_EQ(run({"mooring", "preflight", "--help"}), 0);
  EXPECT_THAT(executed_, IsEmpty());
}

TEST_F(Cli, TheNameDecidesWhichProgramItIs) {
  EXPECT_EQ(run({"/usr/bin/mooringd", "--config", "/a"}), 0);
  EXPECT_EQ(daemon_file_, "/a");
  EXPECT_EQ(run({"mooring", "mooringd", "--config", "/b"}), 0);
  EXPECT_EQ(daemon_file_, "/b");
}

TEST_F(Cli, DaemonCheckDoesNotStart) {
  EXPECT_EQ(run({"mooringd", "--check"}), 0);
  config_text_ = "broken";
  EXPECT_EQ(run({"mooringd", "--check"}), 78);
  EXPECT_EQ(daemon_file_, "");
  EXPECT_EQ(run({"mooringd", "--chek"}), 2);
}

}  // namespace
}  // namespace mooring::cli
