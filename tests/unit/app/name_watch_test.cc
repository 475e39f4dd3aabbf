#include "app/name_watch.h"

#include <gmock/gmock.h>

#include "core/log.h"
#include "support.h"

namespace mooring::app {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

// RFC 6761 §6.3: loopback everywhere. A label of 64 bytes (RFC 1035 §2.3.4 allows 63) is nothing
// anywhere, and no name server has to be asked.
const std::string kNowhere(64, 'a');

TEST(NameWatch, FindsAddressesAndTellsOnlyChanges) {
  Loop loop;
  int changes = 0;
  NameWatch watch(loop, [&] { ++changes; });
  watch.set_names({"localhost"});
  ASSERT_TRUE(run_until(loop, [&] { return changes == 1; }));
  EXPECT_THAT(watch.names().at("localhost"), Contains(*parse_ip("127.0.0.1")));
  watch.set_names({"localhost"});
  run_for(loop, Milliseconds{20});
  EXPECT_EQ(changes, 1) << "a name that stays is not looked up again at once";
  watch.set_names({});
  EXPECT_THAT(watch.names(), IsEmpty());
}

TEST(NameWatch, WaitsForTheFirstAnswersWithoutTelling) {
  Loop loop;
  int changes = 0;
  NameWatch watch(loop, [&] { ++changes; });
  watch.set_names({"localhost"});
  watch.wait_for_first(Milliseconds{20000});
  EXPECT_THAT(watch.names().at("localhost"), Contains(*parse_ip("127.0.0.1")));
  EXPECT_EQ(changes, 0);
  watch.set_names({});
}

TEST(NameWatch, ANameWithoutAddressIsNoChange) {
  log::set_level(log::Level::off);
  Loop loop;
  NameWatch watch(loop, [] { ADD_FAILURE() << "nothing came or went"; });
  watch.set_names({kNowhere});
  ASSERT_TRUE(run_until(loop, [&] { return watch.names().contains(kNowhere); }));
  EXPECT_THAT(watch.names().at(kNowhere), IsEmpty());
  watch.set_names({});
  log::set_level(log::Level::info);
}

TEST(SeenAddresses, StayForAWhileAfterTheLastAnswerThatHadThem) {
  const IpAddress a = *parse_ip("192.0.2.1");
  const IpAddress b = *parse_ip("192.0.2.2");
  const MonoTime start{};
  SeenAddresses seen;
  seen.add({b}, start);
  seen.add({a}, start + std::chrono::minutes{1});
  EXPECT_THAT(seen.known(), ElementsAre(a, b)) << "another part of the set";
  seen.add({a}, start + NameWatch::kKeep);
  EXPECT_THAT(seen.known(), ElementsAre(a));
}

TEST(SeenAddresses, AreBounded) {
  SeenAddresses seen;
  for (std::uint32_t i = 0; i < 100; ++i)
    seen.add({IpAddress::v4(0x0a000000 + i)}, MonoTime{} + std::chrono::seconds{i});
  EXPECT_EQ(seen.known().size(), NameWatch::kMaxAddresses);
  EXPECT_THAT(seen.known(), Contains(IpAddress::v4(0x0a000000 + 99)));
}

TEST(NameWatch, MayEndWhileItLooks) {
  Loop loop;
  NameWatch watch(loop, [] {});
  watch.set_names({"localhost", kNowhere});
}

}  // namespace
}  // namespace mooring::app
