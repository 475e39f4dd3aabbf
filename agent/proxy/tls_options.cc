#include "proxy/tls_options.h"

namespace mooring::proxy {

namespace {

tls::Version version_of(config::TlsVersion version) noexcept {
  return version == config::TlsVersion::tls13 ? tls::Version::tls13 : tls::Version::tls12;
}

}  // namespace

Result<std::unique_ptr<tls::Context>> make_context(const snapshot::TlsPart& part,
                                                   tls::Scratch& scratch,
                                                   const Clock& clock) {
  return tls::Context::make(part.is_server ? tls::Role::server : tls::Role::client,
                            part.material,
                            tls_parameters(part.parameters),
                            scratch,
                            clock);
}

tls::Parameters tls_parameters(const snapshot::TlsParameters& parameters) {
  tls::Parameters result;
  result.min_version = version_of(parameters.min_version);
  result.max_version = version_of(parameters.max_version);
  result.ciphers = parameters.ciphers;
  result.groups = parameters.groups;
  result.resumption = parameters.resumption;
  return result;
}

tls::Context::ClientOptions client_options(const snapshot::Transport& transport,
                                           std::string_view resume_key) {
  tls::Context::ClientOptions options;
  options.sni = transport.tls->sni;
  options.alpn = transport.tls->alpn;
  options.expected_peers = transport.peer_names;
  options.resume_key = resume_key;
  return options;
}

std::string resume_key(const std::string& cluster,
                       const SocketAddress& endpoint,
                       const snapshot::Transport& transport) {
  std::string key = cluster + "|" + endpoint.to_string();
  for (const auto& expected : transport.peer_names)
    key += "|" + expected.text;
  return key;
}

}  // namespace mooring::proxy
