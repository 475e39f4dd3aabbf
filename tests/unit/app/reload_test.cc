#include "app/reload.h"

#include <gmock/gmock.h>

#include "snapshot/from_config.h"
#include "support.h"

namespace mooring::app {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Key;

std::string bound(const std::string& name, int port) {
  const std::string address = "10.0.0.5:" + std::to_string(port);
  return "[[service]]\nname = \"" + name + "\"\nport = " + std::to_string(port) + "\nlisten = \"" +
         address + "\"\ntarget = \"10.0.0.5:9\"\n";
}

BoundAddresses addresses_of(const std::string& text) {
  return bound_addresses(snapshot::resources_from(config_of(text), {}));
}

TEST(BoundChange, OpensWhatIsNewAndClosesWhatIsGone) {
  const auto before = addresses_of(bound("stays", 80) + bound("goes", 81));
  const auto after = addresses_of(bound("stays", 80) + bound("comes", 82));
  const BoundChange change = bound_change(before, after);
  EXPECT_THAT(change.to_open, ElementsAre(Key("inbound_comes")));
  EXPECT_THAT(change.to_close, ElementsAre("inbound_goes"));
}

TEST(BoundChange, AnotherAddressIsOpenedAndTheOldOneClosed) {
  const BoundChange change =
      bound_change(addresses_of(bound("moves", 80)), addresses_of(bound("moves", 81)));
  EXPECT_EQ(change.to_open.at("inbound_moves").port, 81);
  EXPECT_THAT(change.to_close, ElementsAre("inbound_moves"));
}

TEST(BoundChange, ServicesThatAreCapturedHaveNoSocketOfTheirOwn) {
  const BoundChange change = bound_change(addresses_of(""), addresses_of(R"(
[[service]]
name = "captured"
port = 80
)"));
  EXPECT_THAT(change.to_open, IsEmpty());
  EXPECT_THAT(change.to_close, IsEmpty());
}

TEST(NeedsRestart, IsNeededForNothingWhenNothingChanged) {
  EXPECT_THAT(needs_restart(config_of(bound("a", 80)), config_of(bound("a", 80))), IsEmpty());
}

TEST(NeedsRestart, ServicesUpstreamsLevelAndDrainTimeAreTakenIntoUseAtOnce) {
  const auto after = config_of(bound("a", 80) + R"(
[log]
level = "debug"
[timeouts]
drain = "3s"
)");
  EXPECT_THAT(needs_restart(config_of(""), after), IsEmpty());
}

constexpr const char* kAllThatNeedsOne = R"(
[limits]
workers = 3
[capture]
outbound_port = 16001
inbound_port = 16006
helper_socket = "/run/other.sock"
[admin]
socket = "/run/other-admin.sock"
[log]
file = "/var/log/other.log"
[access_log]
file = "/var/log/other-access.log"
[timeouts]
handshake = "3s"
)";

TEST(NeedsRestart, NamesEachSetting) {
  const auto after = config_of(kAllThatNeedsOne);
  EXPECT_THAT(needs_restart(config_of(""), after),
              ElementsAre(HasSubstr("[limits] changed"),
                          HasSubstr("capture.outbound_port"),
                          HasSubstr("capture.inbound_port"),
                          HasSubstr("capture.helper_socket"),
                          HasSubstr("[admin]"),
                          HasSubstr("log.file"),
                          HasSubstr("[access_log]"),
                          HasSubstr("[timeouts]")));
}

constexpr const char* kJoined =
    "[control_plane]\naddresses = [\"https://cp.test\"]\nca_file = \"/ca\"\ntoken_file = "
    "\"/token\"\n";

TEST(NeedsRestart, OfAControlPlaneThatIsAnother) {
  const auto running = config_of(kJoined);
  auto next = config_of(std::string(kJoined) + "mesh = \"other\"\n");
  EXPECT_THAT(needs_restart(running, next), ElementsAre(HasSubstr("[control_plane]")));
  keep_until_restart(running, next);
  EXPECT_EQ(next.control_plane, running.control_plane);
}

TEST(CannotFollow, ToAControlPlaneOrAwayFromIt) {
  EXPECT_EQ(cannot_follow(config_of(kJoined), config_of(kJoined)), std::nullopt);
  EXPECT_EQ(cannot_follow(config_of(""), config_of("")), std::nullopt);
  EXPECT_THAT(cannot_follow(config_of(""), config_of(kJoined))->message, HasSubstr("added"));
  EXPECT_THAT(cannot_follow(config_of(kJoined), config_of(""))->message, HasSubstr("removed"));
}

TEST(NeedsRestart, IsSaidAgainByTheNextReload) {
  const auto running = config_of("");
  const auto file = config_of(kAllThatNeedsOne);
  auto in_use = file;
  keep_until_restart(running, in_use);
  EXPECT_EQ(needs_restart(in_use, file), needs_restart(running, file));
}

TEST(NeedsRestart, KeepsNothingElse) {
  const auto file =
      config_of("[log]\nlevel = \"debug\"\n[timeouts]\ndrain = \"3s\"\n" + bound("a", 80));
  auto in_use = file;
  keep_until_restart(config_of(""), in_use);
  EXPECT_EQ(in_use, file);
}

TEST(Lines, AreOneForEachProblem) {
  EXPECT_EQ(lines({{"a:1:1", "one", ""}, {"b:2:2", "two", "hint"}}),
            "a:1:1: one\nb:2:2: two (hint)");
  EXPECT_EQ(lines({}), "");
}

}  // namespace
}  // namespace mooring::app
