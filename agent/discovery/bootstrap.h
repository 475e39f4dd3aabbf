// Kuma's bootstrap: what an agent says about itself before its first stream, and what it is told
// then (protocol.md §2). Bytes in, values out; net/http_client carries them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/clock.h"
#include "core/result.h"
#include "discovery/transport.h"
#include "http/message.h"
#include "net/http_client.h"

namespace mooring::discovery {

struct BootstrapRequest {
  std::string mesh;
  std::string name;
  std::string token;                    // a secret
  std::string token_path;               // where it is; for control planes that let it be read anew
  std::string dataplane;                // JSON or YAML; empty: the control plane knows it already
  std::string transparent_proxy{};      // JSON of `dataplaneConfig`; empty: nothing is redirected
  std::string ca_pem{};                 // of the control plane
  std::uint16_t readiness_port = 9902;  // 0 would leave the stream without an answer
  std::uint16_t dns_port = 15053;
  bool ipv6 = true;
  std::string workdir = "/run/mooring";
  std::string system_ca_path{};
  std::string spire_socket{};

  friend bool operator==(const BootstrapRequest&, const BootstrapRequest&) = default;
};

/// Body of POST /bootstrap. Fails for what a control plane would refuse or, worse, accept and then
/// not answer: no mesh, name or token, no port for readiness, redirection that is no JSON.
[[nodiscard]] Checked<std::string> build_bootstrap_request(const BootstrapRequest& request);
/// The request to a control plane at `url` ("https://host:port").
[[nodiscard]] net::HttpRequest bootstrap_http(const std::string& url,
                                              std::string body,
                                              std::string ca_pem);

/// Of Kuma, or of a file.
struct Bootstrap {
  std::string node_id;
  std::string node_cluster;
  std::string node_metadata;           // JSON object
  std::vector<HostPort> addresses;     // of the stream; at least one, or...
  std::string unix_path;               // ...instead, and without TLS
  bool is_sotw = false;                // state of the world, else delta
  std::string server_name;             // that the certificate has to have; empty: the address's
  std::string ca_pem;                  // of the servers
  std::vector<http::Header> metadata;  // of each call; the token is among it
  bool reads_token_file = false;       // instead: the token file is read for each call
  bool has_health = false;             // there is a stream for health too

  friend bool operator==(const Bootstrap&, const Bootstrap&) = default;
};

/// Largest answer taken, in bytes. The recorded ones have 9 KB, of which the Dataplane is a part.
inline constexpr std::size_t kMaxBootstrapBytes = std::size_t{4} * 1024 * 1024;

/// Of an answer with status 200. `token_path` is the request's: no other file is read for a call.
[[nodiscard]] Checked<Bootstrap> parse_bootstrap(std::string_view body,
                                                 const std::string& token_path);

/// Of an Envoy's bootstrap as a person wrote it, YAML or JSON: node, dynamic_resources.ads_config
/// of API type GRPC or DELTA_GRPC, and the static cluster that this names, by TLS to servers that
/// are verified, or a unix socket. What else is there is refused by its name. Reads the file of the
/// CA if one is named. The diagnostic's path is "line:column", or empty.
[[nodiscard]] Checked<Bootstrap> parse_bootstrap_file(std::string_view text);

/// Why there is no bootstrap, for a person, and whether asking again may help without one.
struct BootstrapFailure {
  Diagnostic diagnostic;
  bool may_pass = true;
};
[[nodiscard]] BootstrapFailure explain_bootstrap(const std::string& url,
                                                 const net::HttpFailure& failure);
/// For a status other than 200.
[[nodiscard]] BootstrapFailure explain_bootstrap(const std::string& url,
                                                 const net::HttpAnswer& answer);

}  // namespace mooring::discovery
