// A plain xDS server: Envoy's bootstrap from a file, and state-of-the-world ADS.
#include "component/xds_client_fixture.h"

namespace mooring::discovery {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

class SotwClientTest : public XdsClientTest {
 public:
  SotwClientTest() {
    options_.control_planes.clear();
    options_.ca_file.clear();
    options_.token_file.clear();
    options_.bootstrap_file = folder_ + "/bootstrap.yaml";
    options_.times.repeat_refusal = Milliseconds(200);
    options_.times.connect_patience = Milliseconds(300);
    write_bootstrap();
  }
  void SetUp() override {
    XdsClientTest::SetUp();
    if (!IsSkipped()) plane_->behave({{"is_generic", true}});
  }
  ~SotwClientTest() override { client_.reset(); }

 protected:
  /// `sni`: empty, or a field with a comma after it.
  void write_bootstrap(const std::string& sni = "") {
    std::ofstream(folder_ + "/bootstrap.yaml")
        << R"(
node: {id: default.web, cluster: shop}
dynamic_resources:
  ads_config: {api_type: GRPC, grpc_services: [{envoy_grpc: {cluster_name: xds}}]}
static_resources:
  clusters:
  - name: xds
    transport_socket:
      typed_config: {)"
        << sni << "common_tls_context: {validation_context: {trusted_ca: {filename: " << folder_
        << "/ca.pem}}}}\n"
        << "    load_assignment: {endpoints: [{lb_endpoints: [{endpoint: {address: "
        << "{socket_address: {address: 127.0.0.1, port_value: " << plane_->port() << "}}}}]}]}\n";
  }
};

TEST_F(SotwClientTest, JoinsByABootstrapFile) {
  join();
  EXPECT_EQ(client_->state().phase, XdsPhase::live);
  EXPECT_EQ(client_->state().node_id, "default.web");
  EXPECT_EQ(client_->state().control_plane, "https://127.0.0.1:" + std::to_string(plane_->port()));
  EXPECT_EQ(resources().listeners.size(), 1U);
  EXPECT_EQ(endpoint_port("web"), 80);
  EXPECT_THAT(plane_->log("nack"), IsEmpty());
  EXPECT_THAT(plane_->log("bootstrap"), IsEmpty());
}

TEST_F(SotwClientTest, FollowsWhatChangesAndWhatIsAbsent) {
  join();
  plane_->update({endpoints("web", 81)});
  ASSERT_TRUE(until([&] { return endpoint_port("web") == 81; }));
  plane_->update({eds_cluster("db"), endpoints("db", 5432), listener("db", 8081, "db")});
  ASSERT_TRUE(
      until([&] { return resources().listeners.size() == 2 && endpoint_port("db") == 5432; }));
  plane_->remove("lds", {"web"});
  plane_->remove("cds", {"web"});
  ASSERT_TRUE(until([&] { return resources().clusters.size() == 1 && settle(); }));
  ASSERT_EQ(resources().listeners.size(), 1U);
  EXPECT_EQ(resources().listeners[0].name, "db");
  EXPECT_THAT(plane_->log("nack"), IsEmpty());
}

TEST_F(SotwClientTest, RefusesOneResourceAndServesTheOthers) {
  join();
  plane_->update(
      {raw("config.listener.v3.Listener", "web", "////"), listener("more", 8081, "web")});
  ASSERT_TRUE(until([&] { return resources().listeners.size() == 2; }));
  ASSERT_TRUE(until([&] { return plane_->log("nack").size() >= 3; }));
  // The server sends it again at once each time: it is asked no more often than that.
  run_for(Milliseconds(1000));
  EXPECT_LE(plane_->log("nack").size(), 12U);
  plane_->update({listener("web", 8082, "web")});
  ASSERT_TRUE(until([&] { return client_->store().rejected().empty() && is_settled(); }));
}

TEST_F(SotwClientTest, ComesBackAndLearnsWhatWasRemovedMeanwhile) {
  join();
  plane_->kill();
  ASSERT_TRUE(until([&] { return client_->state().phase == XdsPhase::refused; }));
  EXPECT_EQ(resources().listeners.size(), 1U);
  plane_->start();
  plane_->behave({{"is_generic", true}});
  plane_->set({eds_cluster("web"), endpoints("web", 80)});
  ASSERT_TRUE(until([&] { return resources().listeners.empty(); }));
  EXPECT_EQ(client_->state().phase, XdsPhase::live);
}

TEST_F(SotwClientTest, SaysWhatIsWrongWithItsFileAndReadsItAgain) {
  std::filesystem::remove(options_.bootstrap_file);
  start();
  ASSERT_TRUE(until([&] { return client_->state().phase == XdsPhase::refused; }));
  EXPECT_THAT(client_->state().problem, HasSubstr(options_.bootstrap_file));
  plane_->set({eds_cluster("web"), endpoints("web", 80)});
  write_bootstrap();
  ASSERT_TRUE(settle());
}

TEST_F(SotwClientTest, VerifiesTheServerByAFileThatIsReadAgainUntilItIs) {
  write_bootstrap("sni: other.example, ");
  plane_->set({eds_cluster("web"), endpoints("web", 80)});
  start();
  ASSERT_TRUE(until([&] { return !client_->state().problem.empty(); }));
  EXPECT_THAT(client_->state().problem, HasSubstr("cannot be reached"));
  run_for(Milliseconds(1000));
  EXPECT_THAT(client_->state().problem, HasSubstr("cannot be reached"));
  EXPECT_THAT(plane_->log("open"), IsEmpty());
  write_bootstrap();
  ASSERT_TRUE(settle());
  EXPECT_EQ(client_->state().problem, "");
}

}  // namespace
}  // namespace mooring::discovery
