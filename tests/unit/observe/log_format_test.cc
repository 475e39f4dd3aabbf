#include "observe/log_format.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/unit/observe/records.h"

namespace mooring::observe {
namespace {

using ::testing::HasSubstr;

std::string line(std::string_view text, const AccessRecord& record = inbound_record()) {
  const Checked<LogTemplate> parsed = LogTemplate::parse(text);
  return parsed ? parsed->format(record) : "does not parse: " + describe(parsed.error());
}

TEST(LogTemplate, FillsInEnvoysCommands) {
  EXPECT_EQ(
      line(
          "%START_TIME%|%DURATION%|%BYTES_RECEIVED%|%BYTES_SENT%|%RESPONSE_FLAGS%|%CONNECTION_ID%"),
      "2026-09-21T14:13:20.123Z|250|11|22|-|7");
  EXPECT_EQ(line("%DOWNSTREAM_REMOTE_ADDRESS%>%DOWNSTREAM_LOCAL_ADDRESS%>%UPSTREAM_LOCAL_ADDRESS%>%"
                 "UPSTREAM_HOST%"),
            "10.0.0.1:40000>10.0.0.2:5432>127.0.0.6:50000>127.0.0.1:5432");
  EXPECT_EQ(line("%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT% %DOWNSTREAM_LOCAL_PORT%"),
            "10.0.0.1 5432");
  EXPECT_EQ(line("%UPSTREAM_CLUSTER% 100%%"), "local_db 100%");
}

TEST(LogTemplate, PutsTheTlsFactsOnTheSideThatHasThem) {
  constexpr std::string_view kSides =
      "%DOWNSTREAM_PEER_URI_SAN%,%DOWNSTREAM_TLS_VERSION%,%REQUESTED_SERVER_NAME%|%UPSTREAM_PEER_"
      "URI_SAN%,%UPSTREAM_TLS_CIPHER%";
  EXPECT_EQ(line(kSides, inbound_record()), "spiffe://shop/web,TLSv1.3,db.shop|-,-");
  EXPECT_EQ(line(kSides, outbound_record()), "-,-,-|spiffe://shop/db,TLS_AES_128_GCM_SHA256");
}

TEST(LogTemplate, SaysWhyAConnectionWasRefused) {
  AccessRecord denied = inbound_record(CloseReason::denied);
  EXPECT_EQ(line("%CONNECTION_TERMINATION_DETAILS%", denied),
            "rbac_access_denied_matched_policy[none]");
  denied.rule = "web-only";
  EXPECT_EQ(line("%CONNECTION_TERMINATION_DETAILS%", denied),
            "rbac_access_denied_matched_policy[web-only]");
  AccessRecord untrusted = outbound_record(CloseReason::peer_untrusted);
  untrusted.detail = "unable to get local issuer certificate";
  EXPECT_EQ(line("%RESPONSE_FLAGS% %UPSTREAM_TRANSPORT_FAILURE_REASON%", untrusted),
            "UF peer_untrusted:unable to get local issuer certificate");
}

TEST(LogTemplate, PrintsADashForWhatDoesNotExist) {
  AccessRecord record;
  EXPECT_EQ(
      line("%UPSTREAM_HOST% %DOWNSTREAM_PEER_URI_SAN% %REQ(:METHOD)% %RESPONSE_CODE%", record),
      "- - - 0");
}

TEST(LogTemplate, FormatsTheTimeAsAsked) {
  EXPECT_EQ(line("%START_TIME(%Y/%m/%d %H:%M:%S.%3f)%"), "2026/09/21 14:13:20.123");
  EXPECT_EQ(line("%START_TIME(%s.%6f %%)%"), "1790000000.123000 %");
  EXPECT_EQ(line("%START_TIME(%Y%n%d)%"), "2026 21");
}

TEST(LogTemplate, CutsToALength) {
  EXPECT_EQ(line("[%DOWNSTREAM_PEER_URI_SAN:9%]"), "[spiffe://]");
}

TEST(LogTemplate, EndsALineOnceAndEscapesWhatPeersChose) {
  AccessRecord record = inbound_record();
  record.sni = "evil\n127.0.0.1 \"ok\"\x01";
  EXPECT_EQ(line("%REQUESTED_SERVER_NAME%\n", record), "evil\\x0a127.0.0.1 \\x22ok\\x22\\x01");
}

TEST(LogTemplate, BoundsTheLine) {
  std::string text;
  for (int i = 0; i < 300; ++i)
    text += "%DOWNSTREAM_PEER_URI_SAN%";
  AccessRecord record = inbound_record();
  record.peer_identity = "spiffe://shop/" + std::string(2000, 'a');
  EXPECT_EQ(line(text, record).size(), kMaxLineBytes);
}

std::string refusal(std::string_view text) {
  const Checked<LogTemplate> parsed = LogTemplate::parse(text);
  return parsed ? "parsed" : describe(parsed.error());
}

TEST(LogTemplate, RefusesWhatItCannotPrint) {
  EXPECT_THAT(refusal("%DOWNSTREAM_REMOTE%"), HasSubstr("unknown command %DOWNSTREAM_REMOTE%"));
  EXPECT_THAT(refusal("%DOWNSTREAM_REMOTE%"), HasSubstr("%DOWNSTREAM_REMOTE_"));  // the nearest
  EXPECT_THAT(refusal("%DURATION"), HasSubstr("is no %COMMAND%"));
  EXPECT_THAT(refusal("%"), HasSubstr("is no %COMMAND%"));
  EXPECT_THAT(refusal("%REQ(x%"), HasSubstr("parenthesis"));
  EXPECT_THAT(refusal("%REQ%"), HasSubstr("needs an argument"));
  EXPECT_THAT(refusal("%DURATION(x)%"), HasSubstr("takes no argument"));
  EXPECT_THAT(refusal("%DURATION:0%"), HasSubstr("length"));
  EXPECT_THAT(refusal("%DURATION:99999999999999999999999%"), HasSubstr("length"));
  EXPECT_THAT(refusal(std::string(kMaxTemplateBytes + 1, 'a')), HasSubstr("longer"));
  EXPECT_EQ(refusal(std::string(kDefaultTemplate)), "parsed");
}

TEST(LogJson, IsOneLineWithTheFactsThatExist) {
  const std::string text = format_json(outbound_record());
  EXPECT_EQ(text.find('\n'), std::string::npos);
  const auto json = nlohmann::json::parse(text);
  EXPECT_EQ(json["reason"], "closed");
  EXPECT_EQ(json["direction"], "outbound");
  EXPECT_EQ(json["peer_identity"], "spiffe://shop/db");
  EXPECT_EQ(json["upstream_remote"], "10.0.0.2:5432");
  EXPECT_EQ(json["bytes_sent"], 22);
  EXPECT_FALSE(json.contains("shadow_rule"));
  EXPECT_FALSE(json.contains("detail"));
}

TEST(LogJson, SurvivesTextThatIsNoUtf8) {
  AccessRecord record = inbound_record();
  record.sni = "\xff\xfe\x80";
  record.listener = "\xc3(";
  EXPECT_EQ(nlohmann::json::parse(format_json(record))["sni"], "\\xff\\xfe\\x80");
}

}  // namespace
}  // namespace mooring::observe
