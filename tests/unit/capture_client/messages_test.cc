#include "capture_client/messages.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace mooring::capture_client {
namespace {

using namespace std::string_view_literals;

InterceptConfig sample_config() {
  InterceptConfig config;
  config.outbound = {{*parse_prefix("10.0.0.0/8"), 5432, OnAgentDeath::open},
                     {*parse_prefix("fd00::/64"), 443, OnAgentDeath::closed}};
  config.inbound = {{8080, OnAgentDeath::closed}, {8081, OnAgentDeath::open}};
  config.exclude_addresses = {*parse_prefix("192.0.2.1")};
  config.exclude_ports = {9};
  config.other = OtherTraffic::refuse;
  config.other_on_agent_death = OnAgentDeath::closed;
  config.dns_port = 15053;
  return config;
}

Status sample_status() {
  Status status;
  status.state = CaptureState::agent_dead;
  status.backend = "nft inet";
  status.is_owned = true;
  status.table = "mooring_0123abcd_a";
  status.has_guard = true;
  status.is_draining = true;
  status.agent_pid = 77;
  status.agent_uid = 998;
  status.repairs = 2;
  status.openings = 1;
  status.since_unix_s = 1'800'000'000;
  status.problem = "none that matters";
  status.config = sample_config();
  status.trial_ends_unix_s = 1'800'000'120;
  status.dns = DnsRedirection::active;
  return status;
}

// Of a message, what a peer of this version knows.
Body as_known(Body body, std::uint8_t version) {
  std::visit(
      [&](auto& message) {
        if constexpr (requires { message.config.dns_port; }) {
          if (version < 3) message.config.dns_port = 0;
        }
      },
      body);
  if (auto* status = std::get_if<Status>(&body)) {
    if (version < 2) status->trial_ends_unix_s = 0;
    if (version < 3) status->dns = DnsRedirection::not_allowed;
    if (version < 3 && status->config) status->config->dns_port = 0;
  }
  return body;
}

std::vector<Message> all_messages() {
  return {{1, Hello{Role::agent, "0.1.0"}},
          {2, SetPlan{sample_config()}},
          {3, Activate{sample_config()}},
          {4, Narrow{InterceptConfig{}}},
          {5, Drop{}},
          {6, GetListeners{4, 15001, 15006}},
          {7, GetStatus{}},
          {0, Pong{42}},
          {1, Welcome{"0.1.0", "nft inet"}},
          {5, Done{}},
          {3, Refused{Errc::permission, "port 80 is not allowed"}},
          {6, ListenerSet{{{Direction::inbound, true, 3}, {Direction::outbound, false, 0}}}},
          {0, Owner{"mooring_0123abcd_a"}},
          {0, Ping{42}},
          {7, sample_status()},
          {8, TryPlan{sample_config(), 120}},
          {9, Confirm{}},
          {8, Trial{120}}};
}

TEST(Messages, EveryKindSurvivesTheRoundTrip) {
  const auto messages = all_messages();
  ASSERT_EQ(messages.size(), std::variant_size_v<Body>);
  for (std::size_t i = 0; i < messages.size(); ++i) {
    ASSERT_EQ(messages[i].body.index(), i);
    const auto back = decode(encode(messages[i]));
    ASSERT_TRUE(back) << i << ": " << describe(back.error());
    EXPECT_EQ(*back, messages[i]) << i;
  }
}

TEST(Messages, RefusesEveryTruncation) {
  for (const Message& message : all_messages()) {
    const auto packet = encode(message);
    for (std::size_t size = 0; size < packet.size(); ++size) {
      EXPECT_FALSE(decode(Bytes(packet).first(size))) << message.body.index() << " cut at " << size;
    }
  }
}

TEST(Messages, RefusesBytesAfterTheEnd) {
  for (const Message& message : all_messages()) {
    auto packet = encode(message);
    packet.push_back(std::byte{0});
    EXPECT_FALSE(decode(packet)) << message.body.index();
  }
}

TEST(Messages, NamesAnotherProtocolVersion) {
  auto packet = encode({1, Drop{}});
  for (const unsigned version : {kOldestProtocol - 1U, kProtocolVersion + 1U}) {
    packet[2] = static_cast<std::byte>(version);
    const auto decoded = decode(packet);
    ASSERT_FALSE(decoded);
    EXPECT_EQ(decoded.error().code, Errc::unsupported);
    EXPECT_EQ(decoded.error().detail, static_cast<int>(version));
  }
}

// The layout of version 1, byte for byte, as tests/netns/capture_protocol.py writes it.
TEST(Messages, OfTheVersionBeforeAreReadAndWrittenInItsLayout) {
  const std::string_view golden =
      "\115\116\001\016\000\000\000\007\002\000\010\156\146\164\040\151\156\145\164\001"
      "\000\022\155\157\157\162\151\156\147\137\060\061\062\063\141\142\143\144\137\141"
      "\001\001\000\000\000\115\000\000\003\346\000\000\000\002\000\000\000\001\000\000"
      "\000\000\153\111\322\000\000\021\156\157\156\145\040\164\150\141\164\040\155\141"
      "\164\164\145\162\163\001\072\231\072\236\000\002\004\010\012\000\000\000\025\070"
      "\000\006\100\375\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\001"
      "\273\001\000\002\037\220\001\037\221\000\000\001\004\040\300\000\002\001\000\001"
      "\000\011\001\001"sv;
  const auto bytes = std::as_bytes(std::span(golden));
  const auto read = decode(bytes);
  ASSERT_TRUE(read) << describe(read.error());
  const Message expected{7, as_known(sample_status(), 1), 1};
  EXPECT_EQ(*read, expected);
  EXPECT_THAT(encode({7, sample_status(), 1}), testing::ElementsAreArray(bytes));
}

TEST(Messages, EveryKindSurvivesTheRoundTripInTheVersionsBeforeToo) {
  for (std::uint8_t version = kOldestProtocol; version < kProtocolVersion; ++version) {
    for (Message message : all_messages()) {
      message.version = version;
      const auto back = decode(encode(message));
      ASSERT_TRUE(back) << message.body.index();
      message.body = as_known(message.body, version);
      EXPECT_EQ(*back, message) << message.body.index();
    }
  }
}

// What version 2 wrote for its configuration is what 3 writes for it: two bytes fewer than its own.
TEST(Messages, AnOlderPeerIsNotToldOfNames) {
  const Message ours{3, Activate{sample_config()}};
  const Message older{3, Activate{sample_config()}, 2};
  EXPECT_EQ(encode(older).size() + 2, encode(ours).size());
  EXPECT_EQ(std::get<Activate>(decode(encode(older))->body).config.dns_port, 0);
}

TEST(Messages, RefusesAnUnknownType) {
  auto packet = encode({1, Drop{}});
  packet[3] = std::byte{std::variant_size_v<Body>};
  EXPECT_FALSE(decode(packet));
}

TEST(Messages, RefusesAPrefixWithHostBits) {
  InterceptConfig config;
  config.exclude_addresses = {*parse_prefix("10.0.0.0/8")};
  auto packet = encode({1, Activate{config}});
  // header 8, ports 4, two empty lists 4, count 2, family, length, then the address
  ASSERT_EQ(packet[20], std::byte{10});
  packet[23] = std::byte{1};
  EXPECT_FALSE(decode(packet));
}

TEST(Messages, RefusesMoreTargetsThanTheBound) {
  auto packet = encode({1, Activate{InterceptConfig{}}});
  packet[12] = std::byte{0xff};  // the count of outbound targets
  const auto decoded = decode(packet);
  ASSERT_FALSE(decoded);
  EXPECT_EQ(decoded.error().code, Errc::too_large);
}

TEST(Messages, RefusesZeroAndTooManyWorkers) {
  EXPECT_FALSE(decode(encode({1, GetListeners{0, 1, 2}})));
  EXPECT_FALSE(decode(encode({1, GetListeners{kMaxWorkers + 1, 1, 2}})));
  EXPECT_TRUE(decode(encode({1, GetListeners{kMaxWorkers, 1, 2}})));
}

TEST(Messages, TheLargestConfigFitsAPacket) {
  InterceptConfig config;
  config.outbound.assign(kMaxOutboundTargets,
                         {*parse_prefix("fd00::/64"), 443, OnAgentDeath::open});
  config.inbound.assign(kMaxInboundPorts, {8080, OnAgentDeath::closed});
  config.exclude_addresses.assign(kMaxExclusions, *parse_prefix("fd00::/64"));
  config.exclude_ports.assign(kMaxExclusions, 9);
  const auto packet = encode({1, Activate{config}});
  EXPECT_LE(packet.size(), kMaxMessageBytes);
  EXPECT_TRUE(decode(packet));
}

TEST(Messages, CutsLongText) {
  const auto decoded = decode(encode({1, Refused{Errc::permission, std::string(2000, 'x')}}));
  ASSERT_TRUE(decoded);
  EXPECT_EQ(std::get<Refused>(decoded->body).text.size(), kMaxTextBytes);
}

TEST(CheckBounds, RefusesPortZeroAndTooMany) {
  InterceptConfig config;
  config.inbound = {{0, OnAgentDeath::open}};
  EXPECT_FALSE(check_bounds(config));
  config.inbound.assign(kMaxInboundPorts + 1, {1, OnAgentDeath::open});
  EXPECT_FALSE(check_bounds(config));
  config.inbound.resize(kMaxInboundPorts);
  EXPECT_TRUE(check_bounds(config));
}

}  // namespace
}  // namespace mooring::capture_client
