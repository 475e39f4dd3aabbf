#include "observe/why.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/unit/observe/records.h"

namespace mooring::observe {
namespace {

using ::testing::AnyOf;
using ::testing::HasSubstr;
using ::testing::Not;

std::unique_ptr<const AccessRecord> numbered(std::uint64_t id) {
  AccessRecord record = inbound_record(CloseReason::denied);
  record.id = id;
  return std::make_unique<const AccessRecord>(record);
}

TEST(FlightRecorder, KeepsTheNewestFirst) {
  FlightRecorder recorder;
  for (std::uint64_t id = 0; id < 3; ++id)
    recorder.add(numbered(id));
  const auto records = recorder.recent();
  ASSERT_EQ(records.size(), 3U);
  EXPECT_EQ(records[0]->id, 2U);
  EXPECT_EQ(records[2]->id, 0U);
  EXPECT_EQ(recorder.recent().size(), 3U);  // reading takes nothing away
}

TEST(FlightRecorder, LetsTheOldestGiveWay) {
  FlightRecorder recorder;
  for (std::uint64_t id = 0; id < 3 * FlightRecorder::kRecords; ++id) {
    recorder.add(numbered(id));
    if (id == 100) (void)recorder.recent();
  }
  const auto records = recorder.recent();
  ASSERT_EQ(records.size(), FlightRecorder::kRecords);
  EXPECT_EQ(records.front()->id, 3 * FlightRecorder::kRecords - 1);
  EXPECT_EQ(records.back()->id, 2 * FlightRecorder::kRecords);
}

TEST(Explain, NamesBothSidesAndTheRuleOfARefusal) {
  AccessRecord record = inbound_record(CloseReason::denied);
  Explanation e = explain(record);
  EXPECT_EQ(e.time, "2026-09-21T14:13:20.123Z");
  EXPECT_EQ(e.who, "spiffe://shop/web (10.0.0.1:40000)");
  EXPECT_EQ(e.whom, "service db (10.0.0.2:5432)");
  EXPECT_EQ(e.reason, "denied");
  EXPECT_EQ(e.cause, "spiffe://shop/web may not call service db: no allow rule matches it.");
  EXPECT_THAT(e.remedy, HasSubstr("add its SPIFFE ID to allow of service db"));
  record.rule = "no-web";
  EXPECT_THAT(explain(record).cause, HasSubstr("the rule \"no-web\" decided so"));
}

TEST(Explain, NamesTheAddressOfAPeerWithoutIdentity) {
  AccessRecord record = inbound_record(CloseReason::plaintext_refused);
  record.peer_identity.clear();
  EXPECT_EQ(
      explain(record).cause,
      "The peer at 10.0.0.1:40000 spoke plain text to service db, which accepts mutual TLS only.");
}

TEST(Explain, TellsWhereAnOutboundConnectionFailedAndHow) {
  AccessRecord record = outbound_record(CloseReason::connect_refused);
  record.listener = "orders";
  record.detail = "Connection refused";
  const Explanation e = explain(record);
  EXPECT_EQ(e.who, "spiffe://shop/web (10.0.0.1:39000)");
  EXPECT_EQ(e.cause,
            "10.0.0.2:5432 refused the connection to upstream orders (Connection refused).");
}

TEST(Explain, FillsInEveryPlaceholderWhateverIsKnown) {
  AccessRecord bare;
  for (std::size_t i = 0; i < kCloseReasons; ++i) {
    bare.reason = static_cast<CloseReason>(i);
    AccessRecord full = outbound_record(bare.reason);
    for (const Explanation& e : {explain(bare), explain(full)}) {
      EXPECT_THAT(e.cause + e.remedy, Not(AnyOf(HasSubstr("{"), HasSubstr("}"), HasSubstr("  "))));
    }
  }
}

TEST(Explain, EscapesWhatPeersChose) {
  AccessRecord record = inbound_record(CloseReason::handshake_failed);
  record.detail = "bad\n\x1b[2Jthing {peer}";
  EXPECT_THAT(explain(record).cause, HasSubstr("(bad\\x0a\\x1b[2Jthing {peer})"));
}

TEST(RenderWhy, TellsAStoryOrThatThereIsNone) {
  const AccessRecord record = inbound_record(CloseReason::denied);
  EXPECT_THAT(render_why_text({}), HasSubstr("No connection was refused"));
  EXPECT_EQ(render_why_text({&record}),
            "2026-09-21T14:13:20.123Z  denied  #7\n"
            "  spiffe://shop/web (10.0.0.1:40000) -> service db (10.0.0.2:5432)\n"
            "  spiffe://shop/web may not call service db: no allow rule matches it.\n"
            "  What to do: If this caller is meant to be let in, add its SPIFFE ID to allow of "
            "service db and take it "
            "out of deny.\n");
}

TEST(RenderWhy, IsJsonForMachines) {
  const AccessRecord record = inbound_record(CloseReason::denied);
  const auto json = nlohmann::json::parse(render_why_json({&record, &record}));
  ASSERT_EQ(json.size(), 2U);
  EXPECT_EQ(json[0]["reason"], "denied");
  EXPECT_EQ(json[0]["id"], 7);
  EXPECT_THAT(json[0]["cause"], HasSubstr("may not call"));
  EXPECT_EQ(nlohmann::json::parse(render_why_json({})), nlohmann::json::array());
}

}  // namespace
}  // namespace mooring::observe
