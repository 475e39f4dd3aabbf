#include "discovery/bootstrap.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "core/base64.h"
#include "discovery/yaml.h"

namespace mooring::discovery {
namespace {

using nlohmann::json;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::IsSupersetOf;
using testing::Not;

BootstrapRequest request() {
  return {.mesh = "default",
          .name = "web",
          .token = "abc.def.ghi",
          .token_path = "/etc/mooring/token",
          .dataplane = R"({"type":"Dataplane"})"};
}

TEST(BootstrapRequest, SaysWhoThisHostIs) {
  const json sent = json::parse(*build_bootstrap_request(request()));
  EXPECT_EQ(sent["mesh"], "default");
  EXPECT_EQ(sent["name"], "web");
  EXPECT_EQ(sent["proxyType"], "dataplane");
  EXPECT_EQ(sent["dataplaneToken"], "abc.def.ghi");
  EXPECT_EQ(sent["dataplaneTokenPath"], "/etc/mooring/token");
  EXPECT_EQ(sent["dataplaneResource"], R"({"type":"Dataplane"})");
  EXPECT_EQ(sent["readinessPort"], 9902);
  EXPECT_EQ(sent["dnsPort"], 15053);
  EXPECT_FALSE(sent.contains("dataplaneConfig"));
}

TEST(BootstrapRequest, AsksForTheFeaturesThatItHas) {
  BootstrapRequest wanted = request();
  json sent = json::parse(*build_bootstrap_request(wanted));
  EXPECT_THAT(sent["features"].get<std::vector<std::string>>(),
              AllOf(IsSupersetOf({"feature-strict-inbound-ports",
                                  "feature-embedded-dns",
                                  "feature-unified-resource-naming",
                                  "feature-delta-grpc"}),
                    Not(testing::Contains(HasSubstr("transparent-proxy"))),
                    Not(testing::Contains("feature-otel-via-kuma-dp")),
                    Not(testing::Contains("feature-reuse-port"))));
  wanted.transparent_proxy = R"({"redirect":{"outbound":{"enabled":true,"port":15001}}})";
  sent = json::parse(*build_bootstrap_request(wanted));
  EXPECT_THAT(sent["features"].get<std::vector<std::string>>(),
              testing::Contains("feature-transparent-proxy-in-dataplane-metadata"));
  EXPECT_EQ(sent["dataplaneConfig"]["redirect"]["outbound"]["port"], 15001);
}

TEST(BootstrapRequest, IsNotMadeWithoutWhatItNeeds) {
  for (const auto& [break_it, what] :
       std::initializer_list<std::pair<void (*)(BootstrapRequest&), const char*>>{
           {[](BootstrapRequest& r) { r.mesh.clear(); }, "mesh"},
           {[](BootstrapRequest& r) { r.name.clear(); }, "name"},
           {[](BootstrapRequest& r) { r.token.clear(); }, "token"},
           {[](BootstrapRequest& r) { r.readiness_port = 0; }, "readiness"},
           {[](BootstrapRequest& r) { r.transparent_proxy = "{"; }, "redirected"}}) {
    BootstrapRequest wanted = request();
    break_it(wanted);
    const auto built = build_bootstrap_request(wanted);
    ASSERT_FALSE(built) << what;
    EXPECT_THAT(built.error().message, HasSubstr(what));
  }
}

TEST(BootstrapRequest, IsJsonWhateverTheDataplaneHolds) {
  BootstrapRequest wanted = request();
  wanted.dataplane = "\xff\"\n";
  EXPECT_TRUE(json::accept(*build_bootstrap_request(wanted)));
}

TEST(BootstrapRequest, IsSentWithExactlyTheHeadersThatKumaWants) {
  const net::HttpRequest http = bootstrap_http("https://cp:5678", "{}", "ca");
  EXPECT_EQ(http.url, "https://cp:5678/bootstrap");
  EXPECT_THAT(http.headers,
              ElementsAre("accept: application/json", "content-type: application/json"));
  EXPECT_EQ(http.ca_pem, "ca");
}

// ---- the answer

// In the shape of Kuma 3.0, without what an agent does not look at.
constexpr const char* kYaml = R"(
dynamicResources:
  adsConfig:
    apiType: DELTA_GRPC
    grpcServices:
    - envoyGrpc: {clusterName: system_ads}
      initialMetadata:
      - {key: authorization, value: abc.def.ghi}
hdsConfig:
  apiType: GRPC
  grpcServices:
  - envoyGrpc: {clusterName: system_ads}
node:
  id: default.web
  cluster: web
  metadata:
    dataplane.admin.port: "9901"
    features: [a, b]
    ipv6Enabled: true
    count: 4294967295
    nothing: null
    transparentProxy: {redirect: {outbound: {port: 15001}}}
staticResources:
  clusters:
  - name: system_access_log_sink
  - name: system_ads
    loadAssignment:
      endpoints:
      - lbEndpoints:
        - endpoint: {address: {socketAddress: {address: cp.example, portValue: 5678}}}
        - endpoint: {address: {socketAddress: {address: "::1", portValue: 5679}}}
    transportSocket:
      typedConfig:
        commonTlsContext:
          validationContextSdsSecretConfig: {name: cp_validation_ctx}
        sni: cp.example
  secrets:
  - name: cp_validation_ctx
    validationContext: {trustedCa: {inlineBytes: UEVN}}
)";

std::string answer_of(const std::string& yaml) {
  return json{{"bootstrap", encode_base64(yaml)}}.dump();
}
/// Of kYaml with `from` replaced.
Checked<Bootstrap> parse_changed(const std::string& from, const std::string& to) {
  std::string yaml = kYaml;
  EXPECT_NE(yaml.find(from), std::string::npos) << from;
  yaml.replace(yaml.find(from), from.size(), to);
  return parse_bootstrap(answer_of(yaml), "/etc/mooring/token");
}

TEST(Bootstrap, TellsWhereToGoAndAsWhom) {
  const auto bootstrap = parse_bootstrap(answer_of(kYaml), "");
  ASSERT_TRUE(bootstrap) << describe(bootstrap.error());
  EXPECT_EQ(bootstrap->node_id, "default.web");
  EXPECT_EQ(bootstrap->node_cluster, "web");
  ASSERT_EQ(bootstrap->addresses.size(), 2U);
  EXPECT_EQ(bootstrap->addresses[0].to_string(), "cp.example:5678");
  EXPECT_EQ(bootstrap->addresses[1].to_string(), "[::1]:5679");
  EXPECT_EQ(bootstrap->server_name, "cp.example");
  EXPECT_EQ(bootstrap->ca_pem, "PEM");
  EXPECT_THAT(bootstrap->metadata, ElementsAre(http::Header{"authorization", "abc.def.ghi"}));
  EXPECT_FALSE(bootstrap->reads_token_file);
  EXPECT_TRUE(bootstrap->has_health);
}

/// What is in a file, with its parts where a test replaces them.
std::string file_of(const std::string& address,
                    const std::string& tls = "",
                    const std::string& more = "") {
  return "node: {id: web, cluster: shop, metadata: {two_words: 1}}\n"
         "dynamic_resources:\n"
         "  ads_config: {api_type: GRPC, grpc_services: [{envoy_grpc: {cluster_name: xds}}]}\n"
         "  cds_config: {ads: {}, resource_api_version: V3}\n"
         "static_resources:\n"
         "  clusters:\n"
         "  - name: xds\n"
         "    type: STRICT_DNS\n"
         "    connect_timeout: 1s\n"
         "    load_assignment: {endpoints: [{lb_endpoints: [" +
         address + "]}]}\n" + tls + more;
}
std::string socket_address(const std::string& host) {
  return "{endpoint: {address: {socket_address: {address: " + host + ", port_value: 18000}}}}";
}
constexpr const char* kPipe = "{endpoint: {address: {pipe: {path: /run/xds.sock}}}}";
std::string tls_with(const std::string& context, const std::string& sni = "") {
  return "    transport_socket: {name: tls, typed_config: {common_tls_context: {" + context + "}" +
         sni + "}}\n";
}
const std::string kCa = "validation_context: {trusted_ca: {inline_string: PEM}}";
std::string problem_of_file(const std::string& text) {
  const auto bootstrap = parse_bootstrap_file(text);
  return bootstrap ? "" : describe(bootstrap.error());
}

TEST(BootstrapFile, SaysWhoIsAskedAndAsWhom) {
  const auto bootstrap = parse_bootstrap_file(
      file_of(socket_address("xds.example") + ", " + socket_address("10.0.0.1"), tls_with(kCa)));
  ASSERT_TRUE(bootstrap) << describe(bootstrap.error());
  EXPECT_TRUE(bootstrap->is_sotw);
  EXPECT_EQ(bootstrap->node_id, "web");
  EXPECT_EQ(bootstrap->node_cluster, "shop");
  EXPECT_EQ(bootstrap->node_metadata, R"({"two_words":1})");
  ASSERT_EQ(bootstrap->addresses.size(), 2U);
  EXPECT_EQ(bootstrap->addresses[0].to_string(), "xds.example:18000");
  EXPECT_EQ(bootstrap->ca_pem, "PEM");
  EXPECT_EQ(bootstrap->server_name, "");
  EXPECT_FALSE(bootstrap->has_health);
}

TEST(BootstrapFile, MayHaveTheNamesOfJson) {
  const auto bootstrap = parse_bootstrap_file(R"({
    "node": {"id": "web"},
    "dynamicResources": {"adsConfig": {
      "apiType": "DELTA_GRPC", "transportApiVersion": "V3",
      "grpcServices": [{"envoyGrpc": {"clusterName": "xds"},
                        "initialMetadata": [{"key": "authorization", "value": "abc"}]}]}},
    "staticResources": {"clusters": [{
      "name": "xds",
      "loadAssignment": {"clusterName": "xds", "endpoints": [{"lbEndpoints": [
        {"endpoint": {"address": {"socketAddress": {"address": "::1", "portValue": 1}}}}]}]},
      "transportSocket": {"typedConfig": {
        "sni": "xds.example",
        "commonTlsContext": {"validationContext": {"trustedCa": {"inlineBytes": "UEVN"}}}}}}]}
  })");
  ASSERT_TRUE(bootstrap) << describe(bootstrap.error());
  EXPECT_FALSE(bootstrap->is_sotw);
  EXPECT_EQ(bootstrap->server_name, "xds.example");
  EXPECT_EQ(bootstrap->ca_pem, "PEM");
  EXPECT_THAT(bootstrap->metadata, ElementsAre(http::Header{"authorization", "abc"}));
}

TEST(BootstrapFile, IsPlainTextOnAUnixSocketOnly) {
  const auto pipe = parse_bootstrap_file(file_of(kPipe));
  ASSERT_TRUE(pipe) << describe(pipe.error());
  EXPECT_EQ(pipe->unix_path, "/run/xds.sock");
  EXPECT_THAT(pipe->addresses, IsEmpty());
  EXPECT_THAT(problem_of_file(file_of(socket_address("127.0.0.1"))),
              HasSubstr("not reached by TLS"));
  EXPECT_THAT(problem_of_file(file_of(kPipe, tls_with(kCa))), HasSubstr("TLS on a unix socket"));
  for (const std::string& both : {socket_address("10.0.0.1") + ", " + kPipe,
                                  std::string(kPipe) + ", " + socket_address("10.0.0.1"),
                                  std::string(kPipe) + ", " + kPipe}) {
    EXPECT_THAT(problem_of_file(file_of(both)), HasSubstr("beside a unix socket")) << both;
  }
}

TEST(BootstrapFile, NamesWhoVerifiesItsServers) {
  const std::string address = socket_address("xds.example");
  EXPECT_THAT(problem_of_file(file_of(address, tls_with(""))), HasSubstr("no trusted_ca"));
  EXPECT_THAT(
      problem_of_file(file_of(
          address, tls_with("validation_context: {trusted_ca: {filename: /does/not/exist}}"))),
      HasSubstr("a CA that cannot be read"));
}

TEST(BootstrapFile, NamesWhatIsNotUnderstood) {
  const std::string address = socket_address("xds.example");
  EXPECT_THAT(problem_of_file(file_of(kPipe, "", "admin: {}\n")),
              HasSubstr("admin is not understood"));
  EXPECT_THAT(problem_of_file(file_of(address, tls_with(kCa + ", tls_certificates: []"))),
              HasSubstr("common_tls_context.tls_certificates is not understood"));
  EXPECT_THAT(problem_of_file(file_of(kPipe, "    lb_policy: RANDOM\n")),
              HasSubstr("static_resources.clusters[0].lb_policy is not understood"));
  EXPECT_THAT(problem_of_file(file_of(kPipe, "    type: EDS\n")), HasSubstr("type is not STATIC"));
  EXPECT_THAT(problem_of_file(file_of(kPipe, "", "  - {name: other}\n")),
              HasSubstr("another static cluster"));
  EXPECT_THAT(problem_of_file("node: {id: 5}"), HasSubstr("node.id is no text"));
  EXPECT_THAT(problem_of_file("node: [5]"), HasSubstr("node is no object"));
  EXPECT_THAT(problem_of_file("staticResources: {clusters: {}}"), HasSubstr("is no list"));
  EXPECT_THAT(problem_of_file("node: {id: web}\nNode: {}"), HasSubstr("Node is not understood"));
  EXPECT_THAT(problem_of_file("static_resources: {}\nstaticResources: {}"),
              HasSubstr("is there twice"));
  EXPECT_THAT(problem_of_file("node: {id: web}"), HasSubstr("no dynamic_resources.ads_config"));
  EXPECT_THAT(problem_of_file("[]"), HasSubstr("the bootstrap is no object"));
  EXPECT_THAT(problem_of_file("["), HasSubstr("YAML"));
}

TEST(BootstrapFile, HasAddressesThatAreAnd16AtMost) {
  EXPECT_THAT(problem_of_file(file_of("")), HasSubstr("no address"));
  EXPECT_THAT(problem_of_file(file_of("{endpoint: {address: {pipe: {path: xds.sock}}}}")),
              HasSubstr("whole path"));
  EXPECT_THAT(problem_of_file(file_of(
                  "{endpoint: {address: {socket_address: {address: a, port_value: 65536}}}}")),
              HasSubstr("an address that is none"));
  std::string many = socket_address("10.0.0.1");
  for (int i = 0; i < 16; ++i)
    many += ", " + socket_address("10.0.0.1");
  EXPECT_THAT(problem_of_file(file_of(many, tls_with(kCa))), HasSubstr("or more than 16"));
}

TEST(Bootstrap, KeepsTheMetadataAsItIs) {
  const auto bootstrap = parse_bootstrap(answer_of(kYaml), "");
  ASSERT_TRUE(bootstrap);
  EXPECT_EQ(json::parse(bootstrap->node_metadata),
            json::parse(R"({"dataplane.admin.port": "9901", "features": ["a", "b"],
                            "ipv6Enabled": true, "count": 4294967295, "nothing": null,
                            "transparentProxy": {"redirect": {"outbound": {"port": 15001}}}})"));
}

TEST(Bootstrap, ReadsTheTokenFileWhereTheControlPlaneReloadsTokens) {
  std::string yaml = kYaml;
  const std::string service =
      "- envoyGrpc: {clusterName: system_ads}\n      initialMetadata:\n"
      "      - {key: authorization, value: abc.def.ghi}";
  const std::string google = R"(- googleGrpc:
        targetUri: dns:///[::1]:5678
        channelCredentials: {sslCredentials: {rootCerts: {inlineBytes: UEVN}}}
        callCredentials:
        - fromPlugin:
            name: envoy.grpc_credentials.file_based_metadata
            typedConfig: {secretData: {filename: /etc/mooring/token}}
        credentialsFactoryName: envoy.grpc_credentials.file_based_metadata)";
  yaml.replace(yaml.find(service), service.size(), google);
  const auto bootstrap = parse_bootstrap(answer_of(yaml), "/etc/mooring/token");
  ASSERT_TRUE(bootstrap) << describe(bootstrap.error());
  EXPECT_TRUE(bootstrap->reads_token_file);
  EXPECT_EQ(bootstrap->addresses.front().to_string(), "[::1]:5678");
  EXPECT_EQ(bootstrap->ca_pem, "PEM");
  const auto other = parse_bootstrap(answer_of(yaml), "/etc/mooring/other");
  ASSERT_FALSE(other);
  EXPECT_THAT(other.error().message, HasSubstr("another file"));
}

TEST(Bootstrap, NamesWhatIsMissing) {
  for (const auto& [from, to, what] : std::initializer_list<std::array<const char*, 3>>{
           {"id: default.web", "id: ''", "names no node"},
           {"clusterName: system_ads", "clusterName: other", "by TLS"},
           {"typedConfig:", "other:", "by TLS"},
           {"lbEndpoints:", "other:", "names no address"},
           {"key: authorization", "key: 'Author\\u0000ization'", "metadata"},
           {"value: abc.def.ghi", "value: \"a\\r\\nb\"", "metadata"}}) {
    const auto bootstrap = parse_changed(from, to);
    ASSERT_FALSE(bootstrap) << what;
    EXPECT_THAT(bootstrap.error().message, HasSubstr(what));
  }
}

TEST(Bootstrap, SkipsAddressesThatAreNone) {
  for (const char* port : {"0", "65536", "-1", "\"5678\"", "1.5", "null"}) {
    const auto bootstrap = parse_changed("portValue: 5678", std::string("portValue: ") + port);
    ASSERT_TRUE(bootstrap) << port;
    EXPECT_EQ(bootstrap->addresses.size(), 1U) << port;
  }
}

TEST(Bootstrap, DoesWithoutHealth) {
  const auto bootstrap = parse_changed("hdsConfig:", "other:");
  ASSERT_TRUE(bootstrap);
  EXPECT_FALSE(bootstrap->has_health);
}

TEST(Bootstrap, RefusesWhatIsNoAnswer) {
  for (const std::string& body : {std::string(),
                                  std::string("node: {id: a}"),
                                  std::string("[]"),
                                  std::string("{}"),
                                  std::string(R"({"bootstrap": 5})"),
                                  std::string(R"({"bootstrap": "*"})"),
                                  answer_of(""),
                                  answer_of("a: [b"),
                                  answer_of("just text")}) {
    const auto bootstrap = parse_bootstrap(body, "");
    ASSERT_FALSE(bootstrap) << body;
    EXPECT_FALSE(bootstrap.error().hint.empty());
  }
  EXPECT_FALSE(parse_bootstrap(std::string(kMaxBootstrapBytes + 1, ' '), ""));
}

TEST(Yaml, ReadsScalarsAsTheCoreSchemaDoes) {
  EXPECT_EQ(*parse_yaml("{a: 1, b: '1', c: true, d: \"true\", e: ~, f: , g: 1.5, h: 0x1f, i: -3, "
                        "j: text, k: 4294967295, l: 10.90.0.1}"),
            json::parse(R"({"a": 1, "b": "1", "c": true, "d": "true", "e": null, "f": null,
                            "g": 1.5, "h": "0x1f", "i": -3, "j": "text", "k": 4294967295,
                            "l": "10.90.0.1"})"));
}

TEST(Yaml, IsBounded) {
  std::string deep;
  for (int i = 0; i < kMaxYamlDepth + 2; ++i)
    deep += "[";
  EXPECT_FALSE(parse_yaml(deep + std::string(kMaxYamlDepth + 2, ']')));
  EXPECT_FALSE(parse_yaml(std::string(100'000, '[')));
  // Each line ten times the one before: a billion in all.
  std::string bomb = "a0: &a0 x\n";
  for (int i = 1; i < 10; ++i) {
    bomb += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [";
    for (int k = 0; k < 10; ++k)
      bomb += "*a" + std::to_string(i - 1) + ", ";
    bomb += "]\n";
  }
  const auto parsed = parse_yaml(bomb);
  ASSERT_FALSE(parsed);
  EXPECT_THAT(parsed.error().message, HasSubstr("aliases"));
  EXPECT_THAT(parse_yaml("a: [\nb").error().path, HasSubstr(":"));
}

// ---- why not

TEST(BootstrapFailure, EveryRecordedRefusalHasItsRemedy) {
  struct Case {
    int status;
    const char* text;
    const char* hint;
    bool may_pass;
  };
  for (
      const Case& each : std::initializer_list<Case>{
          {422, "Dataplane Token is required. Generate token using ...", "--token-file", false},
          {422, R"(mesh: mesh "nope" does not exist)", "make the mesh", false},
          {422,
           "networking.inbound[0].port: port must be in the range [1, 65535]",
           "Dataplane",
           false},
          {422,
           "outbound: should be empty since dataplane is in Transparent Proxying mode",
           "networking.outbound",
           false},
          {400,
           R"(using "x" address, but the certificate in the control plane has the following SANs ["a"].)",
           "one of the names",
           false},
          {400,
           "using the certificate which is not a certificate authority (basic constraint 'CA'...",
           "--ca-file",
           false},
          {400, "", "Kuma", false},
          {404, "", "apply the Dataplane", true},
          {500, "", "log", true},
          {503, "busy", "log", true},
          {403, "go away", "Kuma", false},
          {302, "", "Kuma", true}}) {
    const BootstrapFailure failure =
        explain_bootstrap("https://cp:5678", net::HttpAnswer{each.status, "text/plain", each.text});
    EXPECT_THAT(failure.diagnostic.hint, HasSubstr(each.hint)) << each.status << each.text;
    EXPECT_EQ(failure.may_pass, each.may_pass) << each.status << each.text;
    EXPECT_EQ(failure.diagnostic.path, "https://cp:5678");
    EXPECT_THAT(failure.diagnostic.message, HasSubstr("the control plane"));
  }
}

TEST(BootstrapFailure, QuotesThePeerSafely) {
  const BootstrapFailure failure = explain_bootstrap(
      "https://cp", net::HttpAnswer{422, "", "bad\n\x1b[31m" + std::string(10'000, 'x')});
  EXPECT_EQ(failure.diagnostic.message.find('\x1b'), std::string::npos);
  EXPECT_LT(failure.diagnostic.message.size(), 1000U);
}

TEST(BootstrapFailure, SaysWhatToCheckWhenThereIsNoAnswer) {
  for (const auto& [code, hint, may_pass] :
       std::initializer_list<std::tuple<Errc, const char*, bool>>{
           {Errc::not_found, "name resolution", true},
           {Errc::refused, "5678", true},
           {Errc::timed_out, "firewalls", true},
           {Errc::untrusted, "CA file", true},
           {Errc::bad_certificate, "PEM", false},
           {Errc::tls_protocol, "port", true},
           {Errc::too_large, "Kuma", false},
           {Errc::bad_input, "https://", false},
           {Errc::reset, "log", true}}) {
    const BootstrapFailure failure =
        explain_bootstrap("https://cp:5678", net::HttpFailure{code, "why"});
    EXPECT_THAT(failure.diagnostic.hint, HasSubstr(hint));
    EXPECT_EQ(failure.may_pass, may_pass) << hint;
  }
}

TEST(ExplainBootstrap, ACertificateThatIsRefusedIsToldFromTheOthers) {
  for (const auto& [said, message, hint] : std::vector<std::array<const char*, 3>>{
           {"SSL certificate problem: certificate has expired", "has expired", "clock"},
           {"SSL certificate problem: certificate is not yet valid", "is not valid yet", "clocks"},
           {"SSL: no alternative certificate subject name matches target host name 'cp'",
            "does not cover this address",
            "a name that it covers"},
           {"SSL certificate problem: unable to get local issuer certificate",
            "was not signed by the CA",
            "--ca-file"},
           {"SSL certificate problem: self-signed certificate in certificate chain",
            "was not signed by the CA",
            "--ca-file"},
           {"something new", "is not to be trusted", "CA file"}}) {
    const Diagnostic diagnostic =
        explain_bootstrap("https://cp:5678", net::HttpFailure{Errc::untrusted, said}).diagnostic;
    EXPECT_THAT(diagnostic.message, HasSubstr(message));
    EXPECT_THAT(diagnostic.message, HasSubstr(said[0] == 's' ? "something new" : "SSL"));
    EXPECT_THAT(diagnostic.hint, HasSubstr(hint)) << said;
  }
}

}  // namespace
}  // namespace mooring::discovery
