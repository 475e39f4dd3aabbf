#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "discovery/bootstrap.h"

namespace mooring::discovery {

namespace {

using Json = nlohmann::ordered_json;

// Not among them: feature-otel-via-kuma-dp (collectors are called without us in between),
// feature-reuse-port (sockets are ours to make), feature-bind-outbounds.
Json features(bool is_transparent) {
  Json list = {"feature-tcp-accesslog-via-named-pipe",
               "feature-strict-inbound-ports",
               "feature-embedded-dns",
               "feature-unified-resource-naming",
               "feature-delta-grpc"};
  if (is_transparent) list.push_back("feature-transparent-proxy-in-dataplane-metadata");
  return list;
}

// Shown by the control plane; nothing is decided by it.
Json version() {
  return {{"kumaDp",
           {{"version", MOORING_VERSION},
            {"gitTag", "mooring-" MOORING_VERSION},
            {"gitCommit", "unknown"},
            {"buildDate", "unknown"}}},
          {"envoy",
           {{"version", MOORING_VERSION},
            {"build", "mooring/" MOORING_VERSION},
            {"kumaDpCompatible", true}}}};
}

}  // namespace

Checked<std::string> build_bootstrap_request(const BootstrapRequest& request) {
  const auto missing = [](const char* what) {
    return fail(Diagnostic{"bootstrap", fmt::format("there is no {}", what), ""});
  };
  if (request.mesh.empty()) return missing("mesh");
  if (request.name.empty()) return missing("name");
  if (request.token.empty()) return missing("token");
  if (request.readiness_port == 0) return missing("port for readiness");
  Json json = {{"mesh", request.mesh},
               {"name", request.name},
               {"proxyType", "dataplane"},
               {"dataplaneToken", request.token},
               {"dataplaneTokenPath", request.token_path},
               {"dataplaneResource", request.dataplane},
               {"caCert", request.ca_pem},
               {"version", version()},
               {"dnsPort", request.dns_port},
               {"readinessPort", request.readiness_port},
               {"operatingSystem", "linux"},
               {"features", features(!request.transparent_proxy.empty())},
               {"workdir", request.workdir},
               {"metricsResources", {{"certPath", ""}, {"keyPath", ""}}},
               {"systemCaPath", request.system_ca_path},
               {"spireResources", {{"socketPath", request.spire_socket}}},
               {"ipv6Enabled", request.ipv6}};
  if (!request.transparent_proxy.empty()) {
    Json proxy = Json::parse(request.transparent_proxy, nullptr, /*allow_exceptions=*/false);
    if (!proxy.is_object()) return missing("JSON that says what is redirected");
    json["dataplaneConfig"] = std::move(proxy);
  }
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

net::HttpRequest bootstrap_http(const std::string& url, std::string body, std::string ca_pem) {
  // Anything else in `accept` is answered with bare YAML.
  return {.url = url + "/bootstrap",
          .headers = {"accept: application/json", "content-type: application/json"},
          .body = std::move(body),
          .ca_pem = std::move(ca_pem),
          .max_bytes = kMaxBootstrapBytes};
}

}  // namespace mooring::discovery
