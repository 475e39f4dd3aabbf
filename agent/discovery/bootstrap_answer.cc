#include <algorithm>
#include <optional>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "core/address.h"
#include "core/base64.h"
#include "core/escape.h"
#include "discovery/bootstrap.h"
#include "discovery/json.h"
#include "discovery/yaml.h"

namespace mooring::discovery {

namespace {

using Json = nlohmann::json;

constexpr std::size_t kMaxAddresses = 16;
constexpr std::size_t kMaxMetadata = 16;
constexpr std::size_t kMaxNameBytes = 1024;

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
    const Json& source = at(at(json_, "dynamicResources"), "adsConfig");
    const Json& service = first(at(source, "grpcServices"));
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

 private:
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

}  // namespace mooring::discovery
