// The xDS client against the test control plane, in order and out of it.
#include "component/xds_client_fixture.h"
#include "net/socket.h"

namespace mooring::discovery {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

TEST_F(XdsClientTest, JoinsInTheOrderThatAControlPlaneExpects) {
  join();
  EXPECT_EQ(client_->state().phase, XdsPhase::live);
  EXPECT_TRUE(client_->state().has_listeners);
  EXPECT_EQ(client_->state().problem, "");
  std::vector<std::string> asked;
  for (const json& each : plane_->log("request")) {
    asked.push_back(each["kind"]);
    EXPECT_THAT(each["known"], IsEmpty());
  }
  EXPECT_THAT(asked, ElementsAre("cds", "eds", "lds"));
  EXPECT_THAT(plane_->log("nack"), IsEmpty());
  EXPECT_EQ(resources().listeners.size(), 1U);
  EXPECT_EQ(endpoint_port("web"), 80);
  EXPECT_THAT(
      phases_,
      ElementsAre(
          XdsPhase::bootstrapping, XdsPhase::connecting, XdsPhase::waiting, XdsPhase::live));
}

TEST_F(XdsClientTest, FollowsWhatChanges) {
  join();
  changes_.clear();
  plane_->update({endpoints("web", 81)});
  ASSERT_TRUE(until([&] { return endpoint_port("web") == 81; }));
  ASSERT_TRUE(until([&] { return !changes_.empty(); }));
  EXPECT_THAT(changes_, ElementsAre("endpoints web"));
  plane_->remove("lds", {"web"});
  ASSERT_TRUE(until([&] { return resources().listeners.empty(); }));
  plane_->remove("cds", {"web"});
  ASSERT_TRUE(until([&] { return resources() == snapshot::Resources{}; }));
  ASSERT_TRUE(settle());
  EXPECT_THAT(plane_->log("nack"), IsEmpty());
}

TEST_F(XdsClientTest, RefusesOneResourceAndServesTheOthers) {
  join();
  plane_->update(
      {raw("config.listener.v3.Listener", "web", "////"), listener("more", 8081, "web")});
  ASSERT_TRUE(until([&] { return resources().listeners.size() == 2; }));
  ASSERT_TRUE(until([&] { return !plane_->log("nack").empty(); }));
  EXPECT_THAT(plane_->log("nack")[0]["text"].get<std::string>(), HasSubstr("listener web"));
  EXPECT_EQ(client_->store().rejected().size(), 1U);
  EXPECT_EQ(client_->state().rejections, 1U);
  plane_->update({listener("web", 8082, "web")});
  ASSERT_TRUE(until([&] { return client_->store().rejected().empty(); }));
}

TEST_F(XdsClientTest, SaysWhatItHasWhenTheStreamIsMadeAnew) {
  join();
  const std::uint64_t mark = plane_->mark();
  plane_->call("end", {"default.web", "UNAVAILABLE", "going away"});
  ASSERT_TRUE(until([&] { return !plane_->log("open", mark).empty() && is_settled(); }));
  const auto requests = plane_->log("request", mark);
  ASSERT_EQ(requests.size(), 3U);
  for (const json& each : requests)
    EXPECT_TRUE(each["known"].contains("web")) << each;
  for (const json& each : plane_->log("response", mark))
    EXPECT_THAT(each["names"], IsEmpty());
  EXPECT_EQ(resources().listeners.size(), 1U);
}

TEST_F(XdsClientTest, LearnsWhatWasRemovedWhileItWasAway) {
  join();
  plane_->behave({{"refuse", "not now"}});
  plane_->call("end", {"default.web", "UNAVAILABLE", ""});
  ASSERT_TRUE(until([&] { return client_->state().phase == XdsPhase::refused; }));
  plane_->remove("lds", {"web"});
  EXPECT_EQ(resources().listeners.size(), 1U);
  plane_->behave({{"refuse", ""}});
  ASSERT_TRUE(until([&] { return resources().listeners.empty(); }));
}

TEST_F(XdsClientTest, WaitsOutTheWindowOfTheStreamBefore) {
  join();
  plane_->behave({{"deregistration_delay", 1.0}});
  const std::uint64_t mark = plane_->mark();
  plane_->call("end", {"default.web", "UNAVAILABLE", ""});
  ASSERT_TRUE(until([&] { return !plane_->log("open", mark).empty(); }));
  const std::size_t refused = plane_->log("refused", mark).size();
  EXPECT_GE(refused, 2U);
  EXPECT_LE(refused, 8U);  // a second, at most five times
  ASSERT_TRUE(settle());
  EXPECT_THAT(phases_, Contains(XdsPhase::refused));
}

TEST_F(XdsClientTest, SaysWhyItIsRefusedAndPicksUpANewToken) {
  plane_->set({eds_cluster("web"), endpoints("web", 80)});
  std::filesystem::rename(folder_ + "/token", folder_ + "/good-token");
  std::filesystem::rename(folder_ + "/other-token", folder_ + "/token");
  options_.times.refused_base = options_.times.refused_cap = Milliseconds(3'600'000);
  start();
  ASSERT_TRUE(until([&] { return client_->state().phase == XdsPhase::refused; }));
  EXPECT_THAT(client_->state().problem, HasSubstr("is not allowed with this token"));
  EXPECT_THAT(client_->state().remedy, HasSubstr("workload"));
  std::filesystem::rename(folder_ + "/good-token", folder_ + "/token");
  ASSERT_TRUE(until([&] { return client_->state().phase == XdsPhase::live; }));
}

TEST_F(XdsClientTest, ExplainsABootstrapThatIsRefused) {
  options_.identity.dataplane =
      R"({"type": "Dataplane", "mesh": "nope", "networking": {"address": "10.0.0.1"}})";
  start();
  ASSERT_TRUE(until([&] { return client_->state().phase == XdsPhase::refused; }));
  EXPECT_THAT(client_->state().problem, HasSubstr("does not know the mesh"));
  EXPECT_THAT(client_->state().remedy, HasSubstr("make the mesh"));
  client_->set_identity(identity("web"));
  ASSERT_TRUE(until([&] { return client_->state().phase == XdsPhase::waiting; }));
}

TEST_F(XdsClientTest, NamesTheFilesThatItMisses) {
  options_.token_file = folder_ + "/none";
  start();
  ASSERT_TRUE(until([&] { return client_->state().phase == XdsPhase::refused; }));
  EXPECT_THAT(client_->state().problem, HasSubstr("token file is not there"));
  std::filesystem::copy_file(folder_ + "/token", folder_ + "/none");
  ASSERT_TRUE(until([&] { return client_->state().phase == XdsPhase::waiting; }));
}

TEST_F(XdsClientTest, DoesNotWaitForEverForTheFirstAnswer) {
  options_.times.first_answer = Milliseconds(300);  // nothing was set for this node
  start();
  ASSERT_TRUE(until([&] { return client_->state().phase == XdsPhase::refused; }));
  EXPECT_THAT(client_->state().problem, HasSubstr("does not answer"));
  plane_->set({eds_cluster("web"), endpoints("web", 80)});
  ASSERT_TRUE(settle());
}

TEST_F(XdsClientTest, AsksForListenersThoughAClusterStaysCold) {
  options_.times.warm_clusters = Milliseconds(300);
  plane_->set({eds_cluster("web"),
               eds_cluster("cold"),
               endpoints("web", 80),
               listener("web", 8080, "web")});
  start();
  ASSERT_TRUE(until([&] { return resources().listeners.size() == 1; }));
  EXPECT_FALSE(client_->store().missing().empty());
}

TEST_F(XdsClientTest, ServesWhatWasGoodWhileTheControlPlaneIsAway) {
  join();
  ASSERT_TRUE(until([&] { return std::filesystem::exists(options_.last_good_file); }));
  client_.reset();
  plane_->kill();
  start();
  ASSERT_TRUE(until([&] { return !changes_.empty(); }));
  EXPECT_EQ(resources().listeners.size(), 1U);
  EXPECT_EQ(endpoint_port("web"), 80);
  EXPECT_TRUE(client_->state().last_good.has_value());
  ASSERT_TRUE(until([&] { return client_->state().phase == XdsPhase::refused; }));
  EXPECT_THAT(client_->state().problem, HasSubstr("cannot be reached"));
  plane_->start();
  plane_->set({eds_cluster("web"), endpoints("web", 90), listener("web", 8080, "web")});
  ASSERT_TRUE(until([&] { return endpoint_port("web") == 90; }));
  ASSERT_TRUE(until([&] { return client_->state().has_listeners; }));
  EXPECT_FALSE(client_->state().last_good.has_value());
}

TEST_F(XdsClientTest, IgnoresAFileThatIsBrokenOrOfAnother) {
  std::ofstream(options_.last_good_file) << "garbage";
  join();
  EXPECT_THAT(client_->state().file_problem, HasSubstr("ignored"));
  ASSERT_TRUE(until([&] { return client_->state().file_problem.empty(); }));  // written anew
  client_.reset();
  options_.identity.name = "db";
  start();
  run_for(Milliseconds(50));
  EXPECT_THAT(client_->state().file_problem, HasSubstr("another Dataplane"));
  EXPECT_THAT(resources().listeners, IsEmpty());
}

TEST_F(XdsClientTest, GoesToAnotherControlPlane) {
  options_.control_planes.insert(options_.control_planes.begin(), HostPort{"127.0.0.1", 1});
  join();
  EXPECT_EQ(client_->state().control_plane, "https://127.0.0.1:" + std::to_string(plane_->port()));
}

TEST_F(XdsClientTest, ComesBackToAControlPlaneThatWasKilled) {
  options_.times.connect_patience = Milliseconds(300);
  join();
  plane_->kill();
  ASSERT_TRUE(until([&] { return client_->state().phase != XdsPhase::live; }));
  run_for(Milliseconds(500));
  EXPECT_EQ(resources().listeners.size(), 1U);
  plane_->start();
  plane_->set({eds_cluster("web"), endpoints("web", 99), listener("web", 8080, "web")});
  ASSERT_TRUE(until([&] { return endpoint_port("web") == 99; }));
  EXPECT_EQ(client_->state().phase, XdsPhase::live);
}

TEST_F(XdsClientTest, AnotherDataplaneIsAnotherStream) {
  join();
  const std::uint64_t mark = plane_->mark();
  BootstrapRequest changed = options_.identity;
  changed.dns_port = 15054;
  client_->set_identity(changed);
  client_->set_identity(changed);
  ASSERT_TRUE(until([&] { return !plane_->log("open", mark).empty() && is_settled(); }));
  EXPECT_EQ(plane_->log("bootstrap", mark).size(), 1U);
  EXPECT_EQ(plane_->log("open", mark).size(), 1U);
  EXPECT_EQ(resources().listeners.size(), 1U);
}

TEST_F(XdsClientTest, KeepsItsStreamWhenAnotherDataplaneIsRefused) {
  join();
  const std::uint64_t mark = plane_->mark();
  BootstrapRequest changed = options_.identity;
  changed.dataplane = "{}";
  client_->set_identity(changed);
  ASSERT_TRUE(until([&] { return !client_->state().problem.empty(); }));
  EXPECT_EQ(client_->state().phase, XdsPhase::live);
  plane_->update({endpoints("web", 82)});
  ASSERT_TRUE(until([&] { return endpoint_port("web") == 82; }));
  EXPECT_THAT(plane_->log("end", mark), IsEmpty());
}

TEST_F(XdsClientTest, EndsItsStreamWhenItStops) {
  join();
  client_->stop();
  EXPECT_EQ(client_->state().phase, XdsPhase::stopped);
  ASSERT_TRUE(until([&] { return !plane_->log("end").empty(); }));
  client_.reset();
  loop_.run();  // ends: nothing of it is left
}

class Oddities : public XdsClientTest, public testing::WithParamInterface<const char*> {};

TEST_P(Oddities, KeepNoUpdateAway) {
  plane_->behave(json::parse(GetParam()));
  join();
  for (int port = 100; port < 103; ++port) {
    plane_->update({endpoints("web", port), listener("web", port, "web")});
    ASSERT_TRUE(until([&] { return endpoint_port("web") == port; }));
  }
  ASSERT_TRUE(until([&] { return resources().listeners[0].bind->port == 102; }));
  EXPECT_EQ(client_->state().phase, XdsPhase::live);
  EXPECT_EQ(client_->state().streams, 1U);
}
INSTANTIATE_TEST_SUITE_P(XdsClient,
                         Oddities,
                         testing::Values(R"({"nonce": "duplicate"})",
                                         R"({"nonce": "stale"})",
                                         R"({"nonce": "empty"})",
                                         R"({"twice": true})",
                                         R"({"delay": 0.1})",
                                         R"({"is_reversed": true})"));

TEST_F(XdsClientTest, AnswersWhatNobodyAskedFor) {
  join();
  plane_->call("send",
               {"default.web",
                {{"type_url", kEnvoy + "config.route.v3.RouteConfiguration"}, {"nonce", "77"}}});
  plane_->call("send",
               {"default.web",
                {{"type_url", kEnvoy + "config.cluster.v3.Cluster"},
                 {"nonce", "78"},
                 {"removed_resources", {"never-heard-of"}}}});
  ASSERT_TRUE(until([&] {
    for (const json& each : plane_->log("ack"))
      if (each["nonce"] == "78") return true;
    return false;
  }));
  EXPECT_EQ(client_->state().streams, 1U);
}

TEST_F(XdsClientTest, TakesAHundredUpdatesASecond) {
  join();
  for (int i = 0; i < 100; ++i)
    plane_->update({endpoints("web", 1000 + i)});
  ASSERT_TRUE(until([&] { return endpoint_port("web") == 1099; }));
  ASSERT_TRUE(settle());
  EXPECT_EQ(client_->state().streams, 1U);
}

TEST_F(XdsClientTest, SurvivesConnectionsThatAreCutHalfWay) {
  join();
  plane_->call("reset", {100});
  plane_->update({endpoints("web", 83), listener("web", 8083, "web")});
  ASSERT_TRUE(until([&] { return endpoint_port("web") == 83; }));
  ASSERT_TRUE(settle());
  EXPECT_GE(client_->state().streams, 2U);
}

TEST_F(XdsClientTest, ServesOnThroughAFrozenControlPlane) {
  join();
  plane_->call("freeze", {true});
  plane_->update({endpoints("web", 84)});
  run_for(Milliseconds(200));
  EXPECT_EQ(endpoint_port("web"), 80);
  plane_->call("freeze", {false});
  ASSERT_TRUE(until([&] { return endpoint_port("web") == 84; }));
}

TEST_F(XdsClientTest, AnInvalidListenerThatIsNewIsRefusedAtItsAddress) {
  join();
  json bad = listener("bad", 8090, "web");
  bad["filter_chains"][0]["filters"][0]["typed_config"] = {
      {"@type", kEnvoy + "extensions.filters.network.rbac.v3.RBAC"}, {"stat_prefix", "x"}};
  plane_->update({bad});
  ASSERT_TRUE(until([&] { return resources().listeners.size() == 2; }));
  const auto& refusing = *std::find_if(resources().listeners.begin(),
                                       resources().listeners.end(),
                                       [](const auto& each) { return each.name == "bad"; });
  EXPECT_EQ(refusing.bind->port, 8090);
  EXPECT_FALSE(refusing.chains[0].not_served.empty());
  EXPECT_TRUE(refusing.chains[0].clusters.empty());
}

TEST_F(XdsClientTest, TellsWhetherItsApplicationsAnswer) {
  auto application = net::make_listener({IpAddress::v4(0x7f000001), 0}, {});
  const SocketAddress address = *net::local_address(application->get());
  json dataplane = json::parse(options_.identity.dataplane);
  dataplane["networking"]["inbound"] =
      json::array({{{"port", address.port},
                    {"serviceProbe",
                     {{"interval", "0.1s"}, {"unhealthyThreshold", 1}, {"tcp", json::object()}}}}});
  options_.identity.dataplane = dataplane.dump();
  plane_->behave({{"health_interval", "0.1s"}});
  join();
  const std::string cluster = "localhost:" + std::to_string(address.port);
  const auto is_told = [&](const char* status) {
    const json health = plane_->call("status")["health"].value("default.web", json::object());
    return health.value(cluster, "") == status;
  };
  EXPECT_TRUE(until([&] { return is_told("HEALTHY"); }));
  application->reset();
  EXPECT_TRUE(until([&] { return is_told("UNHEALTHY"); }));
  EXPECT_EQ(client_->health().back().health, Health::unhealthy);
}

TEST_F(XdsClientTest, ProbesNobodyElse) {
  json dataplane = json::parse(options_.identity.dataplane);
  dataplane["networking"]["inbound"] = json::array({{{"port", 80},
                                                     {"serviceAddress", "192.0.2.1"},
                                                     {"serviceProbe", {{"tcp", json::object()}}}}});
  options_.identity.dataplane = dataplane.dump();
  plane_->behave({{"health_interval", "0.1s"}});
  join();
  ASSERT_TRUE(until([&] { return !plane_->log("health").empty(); }));
  EXPECT_EQ(plane_->log("health")[0]["statuses"]["localhost:80"], "UNKNOWN");
}

}  // namespace
}  // namespace mooring::discovery
