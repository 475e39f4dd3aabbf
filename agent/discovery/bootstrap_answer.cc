#include <algorithm>
#include <optional>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "core/address.h"
#include "core/base64.h"
#include "core/escape.h"
#include "core/file.h"
#include "discovery/bootstrap.h"
#include "discovery/bootstrap_fields.h"
#include "discovery/json.h"
#include "discovery/yaml.h"

namespace mooring::discovery {

namespace {

using Json = nlohmann::json;

constexpr std::size_t kMaxAddresses = 16;
constexpr std::size_t kMaxMetadata = 16;
constexpr std::size_t kMaxNameBytes = 1024;

// Some hundred CAs.
constexpr std::size_t kMaxCaBytes = std::size_t{1} * 1024 * 1024;

tl::unexpected<Diagnostic> broken(std::string what) {
  return fail(Diagnostic{"bootstrap",
                         std::move(what),
                         "is the address that of a Kuma control plane's data plane server?"});
}

const Json& first(const Json& list) {
  static const Json nothing;
  return list.is_array() && !list.empty() ? list.front() : nothing;
}

const Json& named(const Json& list, const std::string& name) {
  static const Json nothing;
  if (!list.is_array() || name.empty()) return nothing;
  const auto found = std::find_if(
      list.begin(), list.end(), [&](const Json& each) { return text_at(each, "name") == name; });
  return found == list.end() ? nothing : *found;
}

// envoy.config.core.v3.DataSource; files of this host are not read because a peer names them.
std::string data(const Json& source) {
  std::string inline_text = text_at(source, "inlineString");
  if (!inline_text.empty()) return inline_text;
  return decode_base64(text_at(source, "inlineBytes")).value_or("");
}

std::optional<HostPort> host_port(std::string_view text) {
  if (const std::size_t scheme = text.find(":///"); scheme != std::string_view::npos)
    text.remove_prefix(scheme + 4);  // "dns:///host:port" of gRPC
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos || colon == 0) return std::nullopt;
  const auto port = parse_port(text.substr(colon + 1));
  if (!port) return std::nullopt;
  std::string_view host = text.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  return HostPort{std::string(host), *port};
}

class Reader {
 public:
  Reader(const Json& json, const std::string& token_path) : json_(json), token_path_(token_path) {}

  Checked<Bootstrap> read() {
    read_node();
    const Json& service = first(at(ads(), "grpcServices"));
    read_metadata(at(service, "initialMetadata"));
    if (at(service, "googleGrpc").is_object()) {
      read_google(at(service, "googleGrpc"));
    } else {
      read_cluster(text_at(at(service, "envoyGrpc"), "clusterName"));
    }
    out_.has_health = at(at(json_, "hdsConfig"), "grpcServices").is_array();
    if (problem_.empty() && out_.addresses.empty()) complain("names no address for the stream");
    if (!problem_.empty()) return broken("the control plane's answer " + problem_);
    return std::move(out_);
  }

  /// Of a file, whose fields are those of bootstrap_fields().
  Checked<Bootstrap> read_file() {
    read_node();
    const std::string type = text_at(ads(), "apiType");
    if (type.empty()) complain("has no dynamic_resources.ads_config with an api_type");
    out_.is_sotw = type == "GRPC";
    const Json& services = at(ads(), "grpcServices");
    if (services.size() != 1) complain("has to name one of grpc_services, and no more");
    read_metadata(at(first(services), "initialMetadata"));
    read_file_cluster(text_at(at(first(services), "envoyGrpc"), "clusterName"));
    if (!problem_.empty()) return fail(Diagnostic{"", "the bootstrap " + problem_, ""});
    return std::move(out_);
  }

 private:
  [[nodiscard]] const Json& ads() const { return at(at(json_, "dynamicResources"), "adsConfig"); }

  void complain(std::string what) {
    if (problem_.empty()) problem_ = std::move(what);
  }

  void read_node() {
    const Json& node = at(json_, "node");
    out_.node_id = text_at(node, "id");
    out_.node_cluster = text_at(node, "cluster");
    if (out_.node_id.empty() || out_.node_id.size() > kMaxNameBytes) complain("names no node");
    const Json& metadata = at(node, "metadata");
    // Not UTF-8 would be a message that the control plane cannot read.
    out_.node_metadata =
        metadata.is_object() ? metadata.dump(-1, ' ', false, Json::error_handler_t::replace) : "{}";
  }

  void read_metadata(const Json& list) {
    if (!list.is_array()) return;
    if (list.size() > kMaxMetadata) return complain("has too much metadata for a call");
    for (const Json& each : list) {
      http::Header header{text_at(each, "key"), text_at(each, "value")};
      const bool is_name = !header.name.empty() &&
                           header.name.find_first_not_of(
                               "abcdefghijklmnopqrstuvwxyz0123456789-_.") == std::string::npos;
      const auto is_printable = [](char c) { return c >= ' ' && c < '\x7f'; };
      if (!is_name || !std::all_of(header.value.begin(), header.value.end(), is_printable))
        return complain("has metadata that no header can carry");
      out_.metadata.push_back(std::move(header));
    }
  }

  void read_cluster(const std::string& name) {
    const Json& resources = at(json_, "staticResources");
    const Json& cluster = named(at(resources, "clusters"), name);
    for (const Json& locality : at(at(cluster, "loadAssignment"), "endpoints")) {
      for (const Json& endpoint : at(locality, "lbEndpoints"))
        read_endpoint(at(at(at(endpoint, "endpoint"), "address"), "socketAddress"));
    }
    const Json& tls = at(at(cluster, "transportSocket"), "typedConfig");
    if (!tls.is_object()) return complain("names no address for the stream that is reached by TLS");
    if (!out_.addresses.empty()) out_.server_name = out_.addresses.front().host;
    if (const std::string sni = text_at(tls, "sni"); !sni.empty()) out_.server_name = sni;
    const Json& common = at(tls, "commonTlsContext");
    const std::string secret = text_at(at(common, "validationContextSdsSecretConfig"), "name");
    const Json& context = secret.empty()
                              ? at(common, "validationContext")
                              : at(named(at(resources, "secrets"), secret), "validationContext");
    out_.ca_pem = data(at(context, "trustedCa"));
  }

  // A name that the file does not say is that of the address: the channel's rule.
  void read_file_cluster(const std::string& name) {
    const Json& clusters = at(at(json_, "staticResources"), "clusters");
    const Json& cluster = named(clusters, name);
    if (!cluster.is_object()) return complain("has no static cluster for ads_config");
    if (clusters.size() != 1) return complain("has another static cluster than that of ads_config");
    for (const Json& locality : at(at(cluster, "loadAssignment"), "endpoints")) {
      for (const Json& endpoint : at(locality, "lbEndpoints"))
        read_file_address(at(at(endpoint, "endpoint"), "address"));
    }
    if (out_.addresses.empty() && out_.unix_path.empty())
      return complain("names no address for the stream");
    const Json& tls = at(at(cluster, "transportSocket"), "typedConfig");
    if (!out_.unix_path.empty()) {
      if (tls.is_object()) complain("asks for TLS on a unix socket");
      return;
    }
    if (!tls.is_object()) return complain("names addresses that are not reached by TLS");
    out_.server_name = text_at(tls, "sni");
    read_ca(at(at(at(tls, "commonTlsContext"), "validationContext"), "trustedCa"));
  }

  void read_ca(const Json& ca) {
    const std::string path = text_at(ca, "filename");
    auto pem = path.empty() ? Result<std::string>(data(ca)) : mooring::read_file(path, kMaxCaBytes);
    if (!pem) return complain("names a CA that cannot be read: " + describe(pem.error()));
    if (pem->empty()) return complain("names no trusted_ca for its servers");
    out_.ca_pem = std::move(*pem);
  }

  void read_file_address(const Json& address) {
    const std::string path = text_at(at(address, "pipe"), "path");
    const std::size_t before = out_.addresses.size();
    read_endpoint(at(address, "socketAddress"));
    const bool is_socket = out_.addresses.size() != before;
    if (path.empty() && !is_socket)
      return complain(fmt::format("has an address that is none, or more than {}", kMaxAddresses));
    if (path.empty() && out_.unix_path.empty()) return;
    if (!out_.addresses.empty() || !out_.unix_path.empty())
      return complain("has another address beside a unix socket");
    if (path.front() != '/') return complain("has a unix socket without the whole path");
    out_.unix_path = path;
  }

  void read_endpoint(const Json& address) {
    const Json& port = at(address, "portValue");
    HostPort found{text_at(address, "address"), 0};
    const bool is_port = port.is_number_unsigned() && port.get<std::uint64_t>() - 1 < 65535;
    if (found.host.empty() || found.host.size() > kMaxNameBytes || !is_port) return;
    found.port = static_cast<std::uint16_t>(port.get<std::uint64_t>());
    if (out_.addresses.size() < kMaxAddresses) out_.addresses.push_back(std::move(found));
  }

  // With reloadable tokens (dpServer.authn.enableReloadableTokens).
  void read_google(const Json& google) {
    const auto target = host_port(text_at(google, "targetUri"));
    if (!target) return complain("names no address for the stream");
    out_.addresses = {*target};
    out_.server_name = target->host;
    out_.ca_pem = data(at(at(at(google, "channelCredentials"), "sslCredentials"), "rootCerts"));
    for (const Json& credentials : at(google, "callCredentials")) {
      const Json& config = at(at(credentials, "fromPlugin"), "typedConfig");
      const std::string file = text_at(at(config, "secretData"), "filename");
      if (file.empty()) continue;
      if (file != token_path_) return complain("wants another file to be read than the token's");
      out_.reads_token_file = true;
    }
  }

  const Json& json_;
  const std::string& token_path_;
  Bootstrap out_;
  std::string problem_;
};

}  // namespace

Checked<Bootstrap> parse_bootstrap(std::string_view body, const std::string& token_path) {
  if (body.size() > kMaxBootstrapBytes) return broken("the answer is too large");
  const Json answer = Json::parse(body, nullptr, /*allow_exceptions=*/false);
  if (!answer.is_object()) return broken("the answer is no JSON object");
  const auto yaml = decode_base64(text_at(answer, "bootstrap"));
  if (!yaml || yaml->empty()) return broken("the answer has no bootstrap in it");
  const auto json = parse_yaml(*yaml);
  if (!json)
    return broken("in the answer's bootstrap, " + escape_peer_text(describe(json.error())));
  return Reader(*json, token_path).read();
}

Checked<Bootstrap> parse_bootstrap_file(std::string_view text) {
  const auto json = parse_yaml(text);
  if (!json) return fail(json.error());
  const auto fields = bootstrap_fields(*json);
  if (!fields) return fail(fields.error());
  return Reader(*fields, "").read_file();
}

}  // namespace mooring::discovery
