#include "cli_fixture.h"

#include <cstdio>
#include <fstream>

#include "xdsapi/well_known.pb.h"

namespace mooring::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

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

TEST_F(Cli, ConfigExplainSaysWhatIsMadeOfARecording) {
  google::protobuf::Any any;
  any.set_type_url("type.googleapis.com/envoy.config.cluster.v3.Cluster");
  any.set_value("\x0a\x03web");  // the name; STATIC, without endpoints
  const std::string file = testing::TempDir() + "mooring_explain_test.pb";
  std::ofstream(file) << any.SerializeAsString();
  EXPECT_EQ(run({"mooring", "config", "explain", file.c_str()}), 0);
  EXPECT_EQ(out_.str(), "web\n  endpoints as listed, no TLS\n");
  any.mutable_value()->append("\x10\x02");  // LOGICAL_DNS
  std::ofstream(file) << any.SerializeAsString();
  EXPECT_EQ(run({"mooring", "config", "explain", file.c_str()}), 1);
  EXPECT_THAT(out_.str(), HasSubstr("web: type: is not supported\n  rejected\n"));
  std::ofstream(file) << "something else";
  EXPECT_EQ(run({"mooring", "config", "explain", file.c_str()}), 1);
  EXPECT_THAT(err_.str(), StartsWith(file + ": holds no xDS"));
  std::remove(file.c_str());
  EXPECT_EQ(run({"mooring", "config", "explain", file.c_str()}), 1);
  EXPECT_EQ(run({"mooring", "config", "explain"}), 2);
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
