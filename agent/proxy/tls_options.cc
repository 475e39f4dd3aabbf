#include "proxy/tls_options.h"

namespace mooring::proxy {

tls::Parameters tls_parameters(const config::Tls& config) {
  tls::Parameters parameters;
  if (config.min_version == config::TlsVersion::tls13) parameters.min_version = tls::Version::tls13;
  parameters.ciphers = config.ciphers;
  parameters.groups = config.groups;
  parameters.resumption = config.resumption;
  return parameters;
}

std::vector<identity::NameMatcher> peer_matchers(
    const std::vector<config::SpiffePattern>& patterns) {
  std::vector<identity::NameMatcher> matchers;
  matchers.reserve(patterns.size());
  for (const auto& pattern : patterns)
    matchers.push_back({.kind = pattern.is_prefix ? identity::NameMatcher::Kind::prefix
                                                  : identity::NameMatcher::Kind::exact,
                        .text = pattern.text});
  return matchers;
}

}  // namespace mooring::proxy
