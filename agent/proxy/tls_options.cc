#include "proxy/tls_options.h"

namespace mooring::proxy {

tls::Parameters tls_parameters(const config::Tls& config) {
  tls::Parameters parameters;
  parameters.tls13_only = config.min_version == config::TlsVersion::tls13;
  parameters.ciphers = config.ciphers;
  parameters.groups = config.groups;
  parameters.resumption = config.resumption;
  return parameters;
}

std::vector<tls::PeerMatcher> peer_matchers(const std::vector<config::SpiffePattern>& patterns) {
  std::vector<tls::PeerMatcher> matchers;
  matchers.reserve(patterns.size());
  for (const auto& pattern : patterns)
    matchers.push_back({pattern.text, pattern.is_prefix});
  return matchers;
}

}  // namespace mooring::proxy
