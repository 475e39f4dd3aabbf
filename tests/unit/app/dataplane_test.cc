#include "app/dataplane.h"

#include <gmock/gmock.h>

#include "support.h"

namespace mooring::app {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

config::AgentConfig joined(std::string_view rest, std::string_view more = "") {
  auto parsed = config::parse({{"agent.toml",
                                "[control_plane]\naddresses = [\"https://cp.test\"]\n"
                                "ca_file = \"/ca\"\ntoken_file = \"/token\"\n" +
                                    std::string(more) + std::string(rest)}});
  if (parsed) return *parsed;
  for (const Diagnostic& problem : parsed.error())
    ADD_FAILURE() << describe(problem);
  return {};
}

Dataplane compose(std::string_view services, std::string_view more = "") {
  const config::AgentConfig config = joined(services, more);
  return compose_dataplane(*config.control_plane, config.services, *parse_ip("10.90.0.23"));
}

TEST(ComposeDataplane, SaysWhatTheServicesAre) {
  const Dataplane dataplane = compose(R"(
[[service]]
name = "http"
port = 8080
target = "127.0.0.1:8080"
protocol = "http"
[[service]]
name = "db"
port = 5432
target = "127.0.0.1:15432"
probe = false
)",
                                      "name = \"rs\"\nworkload = \"svr\"\n");
  EXPECT_EQ(
      dataplane.json,
      R"({"type":"Dataplane","mesh":"default","name":"rs","labels":{"kuma.io/workload":"svr"},)"
      R"("networking":{"address":"10.90.0.23","inbound":[{"name":"http","port":8080,)"
      R"("serviceAddress":"127.0.0.1","protocol":"http","serviceProbe":{"tcp":{}}},)"
      R"({"name":"db","port":5432,"servicePort":15432,"serviceAddress":"127.0.0.1",)"
      R"("protocol":"tcp"}]}})");
  EXPECT_THAT(
      dataplane.inbound,
      ElementsAre(DataplaneInbound{"http", 8080, *parse_socket_address("127.0.0.1:8080"), "http"},
                  DataplaneInbound{"db", 5432, *parse_socket_address("127.0.0.1:15432"), "tcp"}));
}

TEST(ComposeDataplane, LeavesOutWhatIsTheRule) {
  EXPECT_EQ(compose("[[service]]\nname = \"a\"\nport = 80\nprobe = false\n", "name = \"h\"\n").json,
            R"({"type":"Dataplane","mesh":"default","name":"h","networking":)"
            R"({"address":"10.90.0.23","inbound":[{"name":"a","port":80,"protocol":"tcp"}]}})");
  // Kuma refuses a serviceAddress that is the address itself.
  EXPECT_THAT(compose("[[service]]\nname = \"a\"\nport = 80\ntarget = \"10.90.0.23:81\"\n").json,
              ::testing::AllOf(HasSubstr("\"servicePort\":81"),
                               ::testing::Not(HasSubstr("serviceAddress"))));
}

TEST(ComposeDataplane, HostWithoutServicesIsAClientOnly) {
  const Dataplane dataplane = compose("", "name = \"h\"\nadmin_port = 19901\n");
  EXPECT_EQ(dataplane.json,
            R"({"type":"Dataplane","mesh":"default","name":"h","networking":)"
            R"({"address":"10.90.0.23","admin":{"port":19901}}})");
  EXPECT_THAT(dataplane.inbound, IsEmpty());
}

TEST(TransparentProxyJson, NamesWhatIsRedirected) {
  Redirection all;
  all.inbound = all.outbound = all.dns = all.ipv6 = true;
  EXPECT_EQ(transparent_proxy_json(all),
            R"({"ipFamilyMode":"dualstack","redirect":{"inbound":{"enabled":true,"port":15006},)"
            R"("outbound":{"enabled":true,"port":15001},"dns":{"enabled":true,"port":15053},)"
            R"("vnet":{}}})");
  Redirection outbound_only;
  outbound_only.outbound = true;
  outbound_only.outbound_port = 16001;
  EXPECT_EQ(transparent_proxy_json(outbound_only),
            R"({"ipFamilyMode":"ipv4","redirect":{"inbound":{"enabled":false,"port":15006},)"
            R"("outbound":{"enabled":true,"port":16001},"dns":{"enabled":false,"port":15053},)"
            R"("vnet":{}}})");
  EXPECT_EQ(transparent_proxy_json({}), "");
}

}  // namespace
}  // namespace mooring::app
