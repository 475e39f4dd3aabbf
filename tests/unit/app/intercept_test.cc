#include "app/intercept.h"

#include <gmock/gmock.h>

#include "config/load.h"

namespace mooring::app {
namespace {

using capture_client::InboundPort;
using capture_client::OnAgentDeath;
using capture_client::OutboundTarget;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

config::AgentConfig config_of(std::string_view rest) {
  auto parsed =
      config::parse({{"agent.toml", "[host]\ntrust_domain = \"a\"\n" + std::string(rest)}});
  if (parsed) return *parsed;
  ADD_FAILURE() << describe(parsed.error().front());
  return {};
}

constexpr std::string_view kServices = R"(
[[service]]
name = "strict"
port = 81
[[service]]
name = "permissive"
port = 80
mode = "permissive"
[[service]]
name = "bound"
port = 82
listen = "10.0.0.5:82"
target = "10.0.0.5:8082"
)";

std::string upstream(std::string_view addresses, std::string_view ports) {
  return "[[upstream]]\nname = \"u\"\nspiffe_ids = [\"spiffe://a/b\"]\naddresses = [" +
         std::string(addresses) + "]\nports = [" + std::string(ports) + "]\n";
}

TEST(InterceptConfig, CapturesServicesByModeAndLeavesBoundOnesAlone) {
  const auto result = intercept_config(config_of(kServices), nullptr);
  ASSERT_TRUE(result);
  EXPECT_THAT(
      result->config.inbound,
      ElementsAre(InboundPort{80, OnAgentDeath::open}, InboundPort{81, OnAgentDeath::closed}));
}

TEST(InterceptConfig, TakesTheFatesFromTheConfiguration) {
  const auto result =
      intercept_config(config_of(std::string(kServices) + upstream("\"10.0.0.1\"", "5") +
                                 "[capture.on_agent_death]\noutbound = \"closed\"\npermissive = "
                                 "\"closed\"\nstrict = \"open\"\n"),
                       nullptr);
  ASSERT_TRUE(result);
  EXPECT_THAT(
      result->config.inbound,
      ElementsAre(InboundPort{80, OnAgentDeath::closed}, InboundPort{81, OnAgentDeath::open}));
  EXPECT_EQ(result->config.outbound.at(0).on_agent_death, OnAgentDeath::closed);
  EXPECT_EQ(result->config.other_on_agent_death, OnAgentDeath::closed);
}

TEST(InterceptConfig, EveryAddressMeetsEveryPort) {
  const auto result =
      intercept_config(config_of(upstream(R"("10.0.0.0/24", "fd00::1")", "1, 2")), nullptr);
  ASSERT_TRUE(result);
  const IpPrefix v4 = *parse_prefix("10.0.0.0/24");
  const IpPrefix v6 = *parse_prefix("fd00::1");
  EXPECT_THAT(result->config.outbound,
              ::testing::UnorderedElementsAre(OutboundTarget{v4, 1},
                                              OutboundTarget{v4, 2},
                                              OutboundTarget{v6, 1},
                                              OutboundTarget{v6, 2}));
}

TEST(InterceptConfig, NamesBecomeAddressesOrANote) {
  const ResolveName resolve = [](const std::string& name) {
    return name == "db.example" ? std::vector<IpAddress>{*parse_ip("10.0.0.9")}
                                : std::vector<IpAddress>{};
  };
  const auto result =
      intercept_config(config_of(upstream(R"("db.example", "gone.example")", "1")), resolve);
  ASSERT_TRUE(result);
  EXPECT_THAT(result->config.outbound, ElementsAre(OutboundTarget{*parse_prefix("10.0.0.9"), 1}));
  EXPECT_THAT(result->notes, ElementsAre(HasSubstr("gone.example has no address")));
}

TEST(InterceptConfig, LoopbackIsLeftOutWithANote) {
  const auto result = intercept_config(config_of(upstream("\"127.0.0.1\"", "1")), nullptr);
  ASSERT_TRUE(result);
  EXPECT_THAT(result->config.outbound, IsEmpty());
  EXPECT_THAT(result->notes, ElementsAre(HasSubstr("loopback")));
}

TEST(InterceptConfig, CarriesPortsExclusionsAndOtherTraffic) {
  const auto result =
      intercept_config(config_of("[capture]\noutbound_port = 16001\ninbound_port = "
                                 "16006\nexclude_addresses = [\"10.9.0.0/16\"]\n"
                                 "exclude_ports = [9100, 9100]\nother = \"refuse\"\n"),
                       nullptr);
  ASSERT_TRUE(result);
  EXPECT_EQ(result->config.outbound_port, 16001);
  EXPECT_EQ(result->config.inbound_port, 16006);
  EXPECT_THAT(result->config.exclude_addresses, ElementsAre(*parse_prefix("10.9.0.0/16")));
  EXPECT_THAT(result->config.exclude_ports, ElementsAre(9100));
  EXPECT_EQ(result->config.other, capture_client::OtherTraffic::refuse);
}

TEST(InterceptConfig, MoreThanTheHelperTakesIsRefused) {
  std::string ports = "1";
  for (int port = 2; port <= 4097; ++port)
    ports += ", " + std::to_string(port);
  const auto result = intercept_config(config_of(upstream("\"10.0.0.1\"", ports)), nullptr);
  ASSERT_FALSE(result);
  EXPECT_THAT(result.error().message, HasSubstr("4097 addresses times ports, at most 4096"));
}

snapshot::Listener mesh_listener(snapshot::Direction direction,
                                 const char* prefix,
                                 std::uint16_t port) {
  snapshot::Listener listener;
  listener.direction = direction;
  listener.match = {{*parse_prefix(prefix), port}};
  listener.chains.emplace_back();
  return listener;
}

TEST(InterceptConfig, FollowsTheListenersOfAControlPlane) {
  using snapshot::Direction;
  snapshot::Resources resources;
  for (const char* address : {"241.0.0.1", "241.0.0.2", "10.0.0.9", "127.0.0.1", "0.0.0.0/0"}) {
    const std::uint16_t port = address[0] == '0' ? 0 : 5432;
    resources.listeners.push_back(mesh_listener(Direction::outbound, address, port));
  }
  for (const int number : {80, 81, 82}) {
    const auto port = static_cast<std::uint16_t>(number);
    resources.listeners.push_back(mesh_listener(Direction::inbound, "10.0.0.1", port));
    auto& chain = resources.listeners.back().chains.front();
    if (port == 81) chain.tls.emplace();
    if (port == 82) chain.not_served = "HTTP";
  }
  const auto result = intercept_config(resources, config::Capture{});
  ASSERT_TRUE(result);
  EXPECT_THAT(result->config.outbound,
              ElementsAre(OutboundTarget{*parse_prefix("10.0.0.9"), 5432, OnAgentDeath::open},
                          OutboundTarget{*parse_prefix("240.0.0.0/4"), 5432, OnAgentDeath::open}));
  EXPECT_THAT(result->config.inbound,
              ElementsAre(InboundPort{80, OnAgentDeath::open},
                          InboundPort{81, OnAgentDeath::closed},
                          InboundPort{82, OnAgentDeath::closed}));
}

TEST(InterceptConfig, BoundsWhatAControlPlaneMayHaveCaptured) {
  snapshot::Resources resources;
  for (std::uint32_t i = 0; i <= capture_client::kMaxOutboundTargets; ++i) {
    resources.listeners.push_back(mesh_listener(snapshot::Direction::outbound, "10.0.0.0/8", 1));
    resources.listeners.back().match.front().prefix = {IpAddress::v4(0x0a000000 + i), 32};
  }
  EXPECT_FALSE(intercept_config(resources, config::Capture{}));
  resources.listeners.pop_back();
  EXPECT_TRUE(intercept_config(resources, config::Capture{}));
}

}  // namespace
}  // namespace mooring::app
