// Secrets of an SDS server at a unix socket beside the control plane, as a SPIRE agent serves them.
#include "component/xds_client_fixture.h"

namespace mooring::discovery {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

const std::string kIdentity = "spiffe://mesh.test/web";
const std::string kStored = "sds:spire/" + kIdentity;

json sds_secret(const std::string& name) {
  const json service = {{"envoy_grpc", {{"cluster_name", "spire"}}}};
  return {{"name", name},
          {"sds_config",
           {{"api_config_source",
             {{"api_type", "GRPC"},
              {"transport_api_version", "V3"},
              {"grpc_services", json::array({service})}}},
            {"resource_api_version", "V3"}}}};
}

json tls_listener(const std::string& name, int port, const std::string& identity) {
  json made = listener(name, port, "web");
  const json common = {{"tls_certificate_sds_secret_configs", json::array({sds_secret(identity)})},
                       {"validation_context_sds_secret_config", sds_secret("ALL")}};
  made["traffic_direction"] = "INBOUND";
  made["filter_chains"][0]["transport_socket"] = {
      {"name", "tls"},
      {"typed_config",
       {{"@type", kEnvoy + "extensions.transport_sockets.tls.v3.DownstreamTlsContext"},
        {"common_tls_context", common},
        {"require_client_certificate", true}}}};
  return made;
}

json certificate(const std::string& name, const std::string& text) {
  return {{"name", name},
          {"tls_certificate",
           {{"certificate_chain", {{"inline_string", text}}},
            {"private_key", {{"inline_string", "KEY of " + text}}}}}};
}

json bundle(const std::string& text) {
  return {{"name", "ALL"}, {"validation_context", {{"trusted_ca", {{"inline_string", text}}}}}};
}

class SdsClientTest : public XdsClientTest {
 public:
  SdsClientTest() {
    options_.times.sds.retry_base = Milliseconds(100);
    options_.times.sds.retry_cap = Milliseconds(400);
    offer({certificate(kIdentity, "CERT 1"), bundle("CA 1")});
  }
  ~SdsClientTest() override { client_.reset(); }

 protected:
  [[nodiscard]] std::string socket() const { return folder_ + "/spire.sock"; }
  void offer(const json& secrets, const json& withdrawn = json::array()) {
    std::ofstream(folder_ + "/content.new")
        << json{{"secrets", secrets}, {"withdrawn", withdrawn}}.dump();
    std::filesystem::rename(folder_ + "/content.new", folder_ + "/content.json");
  }
  void start_server() {
    server_ = std::make_unique<test::ServerProcess>(
        "../control-plane/spire_agent.py",
        std::vector<std::string>{socket(), folder_ + "/content.json", folder_ + "/sds.log"});
    EXPECT_EQ(server_->line(), "serving");
  }
  void join_with(const std::string& identity = kIdentity) {
    const json pipe = {{"pipe", {{"path", socket()}}}};
    const json endpoint = {{"endpoint", {{"address", pipe}}}};
    const json cluster = {
        {"@type", kEnvoy + "config.cluster.v3.Cluster"},
        {"name", "spire"},
        {"type", "STATIC"},
        {"load_assignment",
         {{"cluster_name", "spire"},
          {"endpoints", json::array({{{"lb_endpoints", json::array({endpoint})}}})}}}};
    plane_->set(
        {eds_cluster("web"), endpoints("web", 80), cluster, tls_listener("web", 8080, identity)});
    start();
    ASSERT_TRUE(settle()) << client_->state().problem;
  }
  [[nodiscard]] std::string certificate_of(const std::string& name = kStored) const {
    for (const snapshot::Secret& secret : resources().secrets)
      if (secret.name == name) return std::get<snapshot::TlsCertificate>(secret.value).chain_pem;
    return "";
  }
  bool until_certificate(const std::string& text) {
    return until([&] { return certificate_of() == text; });
  }
  [[nodiscard]] SdsServerState server_state() const {
    const auto states = client_->secret_servers();
    return states.size() == 1 ? states[0] : SdsServerState{};
  }
  [[nodiscard]] std::string problem_of(const std::string& name) const {
    for (const SdsSecretState& secret : server_state().secrets)
      if (secret.name == name) return secret.problem;
    return "(not asked for)";
  }
  bool until_problem(const std::string& part) {
    return until([&] { return problem_of(kIdentity).find(part) != std::string::npos; });
  }
  [[nodiscard]] std::vector<json> requests(const std::string& event) const {
    std::vector<json> found;
    std::ifstream log(folder_ + "/sds.log");
    for (std::string line; std::getline(log, line);)
      if (json each = json::parse(line); each["event"] == event) found.push_back(each);
    return found;
  }
  std::string file(const std::string& name) const {
    std::ifstream in(folder_ + "/" + name);
    return {std::istreambuf_iterator<char>(in), {}};
  }

  std::unique_ptr<test::ServerProcess> server_;
};

TEST_F(SdsClientTest, TakesSecretsThatAUnixSocketServes) {
  start_server();
  join_with();
  ASSERT_TRUE(until_certificate("CERT 1"));
  ASSERT_TRUE(until([&] { return client_->store().missing().empty(); }));
  ASSERT_TRUE(until([&] { return requests("ack").size() == 2; }));
  EXPECT_EQ(requests("request").size(), 2U);  // one name each
  EXPECT_EQ(requests("request")[0]["node"], "default.web");
  EXPECT_THAT(requests("nack"), IsEmpty());
  const SdsServerState state = server_state();
  EXPECT_EQ(state.cluster, "spire");
  EXPECT_TRUE(state.is_connected);
  ASSERT_EQ(state.secrets.size(), 2U);
  EXPECT_TRUE(state.secrets[0].received && state.secrets[1].received);
  // The control plane is not asked, and nothing of them is kept on disk.
  for (const json& each : plane_->log("request"))
    EXPECT_NE(each["kind"], "sds");
  client_->stop();
  EXPECT_THAT(file("last-good"), HasSubstr("filter"));
  EXPECT_THAT(file("last-good"), Not(HasSubstr("CERT 1")));
}

TEST_F(SdsClientTest, FollowsARotation) {
  start_server();
  join_with();
  ASSERT_TRUE(until_certificate("CERT 1"));
  for (const char* const text : {"CERT 2", "CERT 3"}) {
    changes_.clear();
    offer({certificate(kIdentity, text), bundle("CA 1")});
    ASSERT_TRUE(until_certificate(text));
    ASSERT_TRUE(until([&] { return !changes_.empty(); }));
    EXPECT_THAT(changes_, ElementsAre("secret " + kStored));
  }
  ASSERT_TRUE(until([&] { return requests("ack").size() == 6; }));
  EXPECT_EQ(requests("request").size(), 2U);
}

TEST_F(SdsClientTest, KeepsTheLastOneOfWhatIsWithdrawnOrCannotBeRead) {
  start_server();
  join_with();
  ASSERT_TRUE(until_certificate("CERT 1"));
  offer(json::array({bundle("CA 1")}), json::array({kIdentity}));
  ASSERT_TRUE(until_problem("has no such secret any more"));
  offer({{{"name", kIdentity}, {"raw", "////"}}, bundle("CA 1")});
  ASSERT_TRUE(until_problem("cannot be used"));
  ASSERT_TRUE(until([&] { return requests("nack").size() == 1; }));
  EXPECT_THAT(requests("nack")[0]["text"].get<std::string>(), HasSubstr("secret " + kStored));
  EXPECT_EQ(certificate_of(), "CERT 1");
  offer({certificate(kIdentity, "CERT 2"), bundle("CA 1")});
  ASSERT_TRUE(until_certificate("CERT 2"));
  EXPECT_EQ(problem_of(kIdentity), "");
}

TEST_F(SdsClientTest, ServesOnWhileTheServerIsAwayAndComesBackToIt) {
  start_server();
  join_with();
  ASSERT_TRUE(until_certificate("CERT 1"));
  server_.reset();
  ASSERT_TRUE(until([&] { return !server_state().problem.empty(); }));
  EXPECT_FALSE(server_state().is_connected);
  EXPECT_THAT(server_state().problem, HasSubstr("cannot be reached"));
  EXPECT_EQ(certificate_of(), "CERT 1");
  std::filesystem::remove(socket());
  ASSERT_TRUE(until([&] { return server_state().problem == "there is no socket " + socket(); }));
  EXPECT_THAT(server_state().remedy, HasSubstr("spire_socket"));
  offer({certificate(kIdentity, "CERT 2"), bundle("CA 1")});
  start_server();
  ASSERT_TRUE(until_certificate("CERT 2"));
  ASSERT_TRUE(until([&] { return server_state().problem.empty(); }));
}

TEST_F(SdsClientTest, SaysWhatARefusedNameNeedsAndServesTheOthers) {
  offer(json::array({bundle("CA 1")}));
  start_server();
  join_with();
  ASSERT_TRUE(until_problem("is not authorized for the requested identities"));
  EXPECT_THAT(server_state().secrets[1].remedy, HasSubstr("registration entry"));
  EXPECT_EQ(problem_of("ALL"), "");
  ASSERT_TRUE(
      until([&] { return client_->store().serves(ResourceKind::secret, "sds:spire/ALL"); }));
  offer({certificate(kIdentity, "CERT 1"), bundle("CA 1")});
  ASSERT_TRUE(until_certificate("CERT 1"));
}

TEST_F(SdsClientTest, AsksForTheNamesThatAreWantedNow) {
  const std::string other = "spiffe://mesh.test/other";
  offer({certificate(kIdentity, "CERT 1"), certificate(other, "CERT 2"), bundle("CA 1")});
  start_server();
  join_with();
  ASSERT_TRUE(until_certificate("CERT 1"));
  plane_->update({tls_listener("web", 8080, other)});
  ASSERT_TRUE(until([&] { return certificate_of("sds:spire/" + other) == "CERT 2"; }));
  ASSERT_TRUE(until([&] { return problem_of(kIdentity) == "(not asked for)"; }));
  EXPECT_EQ(certificate_of(), "");
  plane_->remove("lds", {"web"});
  ASSERT_TRUE(until([&] { return client_->secret_servers().empty(); }));
}

TEST_F(SdsClientTest, NeedsNoControlPlaneForItAfterARestart) {
  start_server();
  join_with();
  ASSERT_TRUE(until_certificate("CERT 1"));
  client_->stop();
  plane_->kill();
  offer({certificate(kIdentity, "CERT 2"), bundle("CA 1")});
  start();
  EXPECT_TRUE(until_certificate("CERT 2"));
}

TEST_F(SdsClientTest, SaysThatTheControlPlaneNamesNoSocket) {
  plane_->set({eds_cluster("web"), endpoints("web", 80), tls_listener("web", 8080, kIdentity)});
  start();
  ASSERT_TRUE(until([&] { return !server_state().problem.empty(); }));
  EXPECT_THAT(server_state().problem, HasSubstr("no cluster with a unix socket"));
}

}  // namespace
}  // namespace mooring::discovery
