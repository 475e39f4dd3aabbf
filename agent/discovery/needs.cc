#include "discovery/needs.h"

#include <variant>

namespace mooring::discovery {

namespace {

void add_needs(const snapshot::TlsContext& tls, std::vector<Need>& needs) {
  for (const std::string* name : {&tls.certificate, &tls.validation}) {
    if (name->empty() || name->starts_with(kInlineSecret)) continue;
    needs.push_back({ResourceKind::secret, *name});
  }
}

}  // namespace

std::vector<Need> needs_of(const snapshot::Cluster& cluster) {
  std::vector<Need> needs;
  if (cluster.type == snapshot::Cluster::Type::eds)
    needs.push_back({ResourceKind::endpoints, cluster.endpoints_name});
  if (cluster.tls) add_needs(*cluster.tls, needs);
  for (const snapshot::SocketMatch& match : cluster.socket_matches)
    if (match.tls) add_needs(*match.tls, needs);
  return needs;
}

std::vector<Need> needs_of(const snapshot::Listener& listener) {
  std::vector<Need> needs;
  for (const snapshot::FilterChain& chain : listener.chains) {
    if (chain.tls) add_needs(*chain.tls, needs);
    for (const snapshot::WeightedCluster& cluster : chain.clusters)
      needs.push_back({ResourceKind::cluster, cluster.name});
  }
  return needs;
}

std::vector<Need> needs_of(const SystemListener& listener) {
  std::vector<Need> needs;
  if (listener.tls) add_needs(*listener.tls, needs);
  return needs;
}

std::vector<Need> needs_of(const Decoded& decoded) {
  return std::visit(
      [](const auto& it) {
        if constexpr (requires { needs_of(it); }) {
          return needs_of(it);
        } else {
          return std::vector<Need>{};
        }
      },
      decoded.resource);
}

}  // namespace mooring::discovery
