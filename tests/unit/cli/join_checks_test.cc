#include "cli/join_checks.h"

#include <gmock/gmock.h>

namespace mooring::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using namespace std::chrono_literals;

const WallTime kNow{std::chrono::seconds(1'790'000'000)};

app::Dataplane dataplane() {
  app::Dataplane is;
  is.mesh = "default";
  is.name = "web-1";
  is.workload = "web";
  return is;
}

discovery::TokenClaims claims() {
  discovery::TokenClaims is;
  is.mesh = "default";
  is.workload = "web";
  is.expires = kNow + 24h * 30;
  is.not_before = kNow - 5s;
  return is;
}

std::string problem_of(const std::optional<discovery::TokenClaims>& token) {
  const TokenReport report = check_token(token, dataplane(), kNow);
  return report.problem ? describe(*report.problem) : "";
}

TEST(CheckToken, OneForThisHostIsFine) {
  const TokenReport report = check_token(claims(), dataplane(), kNow);
  EXPECT_FALSE(report.problem);
  EXPECT_THAT(report.warnings, IsEmpty());
  discovery::TokenClaims named = claims();
  named.name = "web-1";
  EXPECT_EQ(problem_of(named), "");
}

TEST(CheckToken, SaysWhatIsWrongWithIt) {
  EXPECT_THAT(problem_of(std::nullopt), HasSubstr("token: is no dataplane token (make a new one"));
  discovery::TokenClaims token = claims();
  token.expires = kNow - 2h;
  EXPECT_THAT(problem_of(token), HasSubstr("token: expired 2h 0m ago, at 2026-09-21 12:13:20 UTC"));
  token = claims();
  token.not_before = kNow + 10min;
  EXPECT_THAT(problem_of(token),
              HasSubstr("is valid from 2026-09-21 14:23:20 UTC on, and here it is"));
  token = claims();
  token.mesh = "shop";
  EXPECT_EQ(problem_of(token),
            "token: is for mesh shop, and this host is to be default (use --mesh shop, or make a "
            "token for this host)");
  token = claims();
  token.name = "db-1";
  EXPECT_THAT(problem_of(token), HasSubstr("is for name db-1, and this host is to be web-1"));
  token = claims();
  token.workload = "db";
  EXPECT_THAT(problem_of(token), HasSubstr("is for workload db, and this host is to be web"));
  app::Dataplane no_workload = dataplane();
  no_workload.workload.clear();
  EXPECT_THAT(describe(*check_token(token, no_workload, kNow).problem),
              HasSubstr("is for workload db, and this host names none (use --workload db"));
}

TEST(CheckToken, WarnsOfOneThatLivesLongOrIsForEverybody) {
  discovery::TokenClaims token = claims();
  token.expires = kNow + 24h * 91;
  EXPECT_THAT(check_token(token, dataplane(), kNow).warnings,
              ElementsAre(HasSubstr("the token lives for 91d 0h more")));
  token.expires = kNow + 24h * 90;
  EXPECT_THAT(check_token(token, dataplane(), kNow).warnings, IsEmpty());
  token.expires.reset();
  token.workload.clear();
  EXPECT_THAT(check_token(token, dataplane(), kNow).warnings,
              ElementsAre(HasSubstr("never expires"), HasSubstr("for any workload")));
}

TEST(CheckClock, WarnsBeyondAMinute) {
  EXPECT_EQ(check_clock(std::nullopt, kNow), "");
  EXPECT_EQ(check_clock(kNow - 60s, kNow), "");
  EXPECT_THAT(check_clock(kNow - 61s, kNow), HasSubstr("is 1m 1s ahead of the control plane's"));
  EXPECT_THAT(check_clock(kNow + 2h, kNow), HasSubstr("is 2h 0m behind the control plane's"));
}

}  // namespace
}  // namespace mooring::cli
