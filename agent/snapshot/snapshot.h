// What a worker decides by: an index of shared, immutable parts. Deeply const; any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "identity/material.h"
#include "identity/name_matcher.h"
#include "snapshot/limits.h"
#include "snapshot/names.h"
#include "snapshot/regexes.h"
#include "snapshot/resources.h"
#include "snapshot/shared_vector.h"

namespace mooring::snapshot {

/// A secret, and what its text holds.
struct SecretPart : Secret {
  explicit SecretPart(Secret source) : Secret(std::move(source)) {}
  identity::PresentedPtr presented;  // of a TlsCertificate
  identity::TrustedPtr trusted;      // of the others
};
using SecretPtr = std::shared_ptr<const SecretPart>;

/// What a tls::Context is made of. One for all that want the same, so that a worker has one context
/// for them.
struct TlsPart {
  bool is_server = false;
  identity::MaterialPtr material;  // never null; one for each pair of certificate and trust
  TlsParameters parameters;

  friend bool operator==(const TlsPart&, const TlsPart&) = default;
};
using TlsPartPtr = std::shared_ptr<const TlsPart>;

/// How one side of a connection speaks.
struct Transport {
  const TlsContext* tls = nullptr;  // of the part that holds this; null: plain text
  TlsPartPtr part;                  // null: a secret of `tls` is missing
  /// The context's and those of its validation secret; any of them; empty: whoever is trusted.
  std::vector<identity::NameMatcher> peer_names;
};

/// The clusters that a chain may pick are found by name when a connection comes: an update of a
/// cluster leaves its listeners as they are.
struct ChainPart {
  const FilterChain* spec = nullptr;  // of the listener part that holds this; never null
  Transport transport;                // the downstream's
  std::vector<std::shared_ptr<RateLimit>> rate_limits;  // at the positions of the spec's
};

struct ListenerPart : Listener {
  explicit ListenerPart(Listener source) : Listener(std::move(source)) {}
  ListenerPart(const ListenerPart&) = delete;
  ListenerPart& operator=(const ListenerPart&) = delete;

  std::vector<ChainPart> parts;  // at the positions of `chains`
  RegexesPtr regexes;            // of `authorization`; null: none
};
using ListenerPtr = std::shared_ptr<const ListenerPart>;

struct ClusterPart : Cluster {
  explicit ClusterPart(Cluster source) : Cluster(std::move(source)) {}
  ClusterPart(const ClusterPart&) = delete;
  ClusterPart& operator=(const ClusterPart&) = delete;

  /// What this endpoint is spoken to with; null: one that has no metadata.
  [[nodiscard]] const Transport& transport_for(const LbEndpoint* endpoint) const noexcept;
  [[nodiscard]] bool may_use_tls() const noexcept;

  Transport transport;
  std::vector<Transport> match_transports;       // at the positions of `socket_matches`
  std::shared_ptr<ConnectionCount> connections;  // of all versions of this cluster; never null
};
using ClusterPtr = std::shared_ptr<const ClusterPart>;

struct Endpoint {
  SocketAddress address;
  // Of the part that holds this; never null.
  const LbEndpoint* spec = nullptr;
  const LocalityEndpoints* locality = nullptr;
};

struct EndpointsPart : LoadAssignment {
  explicit EndpointsPart(LoadAssignment source, const ResolvedNames& names = {});
  EndpointsPart(const EndpointsPart&) = delete;
  EndpointsPart& operator=(const EndpointsPart&) = delete;

  std::vector<Endpoint> list;  // of all localities; a host name is each of its addresses
};
using EndpointsPtr = std::shared_ptr<const EndpointsPart>;

/// Positions in Snapshot::listeners that always exist: captured connections that match nothing.
inline constexpr std::size_t kOutboundOther = 0;
inline constexpr std::size_t kInboundOther = 1;
inline constexpr std::size_t kNoMatch = static_cast<std::size_t>(-1);

/// By name, or by original destination, to a position. Shared by snapshots that have the same
/// names, destinations and sockets at the same positions.
class ListenerIndex {
 public:
  explicit ListenerIndex(const std::vector<ListenerPtr>& listeners);

  [[nodiscard]] std::size_t find(Direction direction,
                                 const SocketAddress& destination) const noexcept;
  [[nodiscard]] std::size_t find(const std::string& name) const noexcept;

 private:
  struct Candidate {
    IpPrefix prefix;
    std::size_t listener = 0;
  };
  /// Of one direction. Port 0: any.
  struct Destinations {
    std::unordered_map<SocketAddress, std::size_t> by_address;          // whole addresses
    std::unordered_map<std::uint16_t, std::vector<Candidate>> by_port;  // longest prefix first
  };

  Destinations inbound_;
  Destinations outbound_;
  std::unordered_map<std::string, std::size_t> by_name_;
};

/// Likewise, of clusters.
class ClusterIndex {
 public:
  explicit ClusterIndex(const std::vector<ClusterPtr>& clusters);

  [[nodiscard]] std::size_t find(const std::string& name) const noexcept;
  /// Those that have this LoadAssignment resource.
  [[nodiscard]] std::vector<std::size_t> find_by_endpoints(const std::string& name) const;

 private:
  std::unordered_map<std::string, std::size_t> by_name_;
  std::unordered_multimap<std::string, std::size_t> by_endpoints_;
};

struct Snapshot {
  std::uint64_t generation = 0;
  SharedVector<ListenerPtr> listeners;
  SharedVector<ClusterPtr> clusters;
  SharedVector<EndpointsPtr> endpoints;  // at the positions of `clusters`; never null
  std::vector<SecretPtr> secrets;        // in the order of their names
  std::vector<TlsPartPtr> tls_parts;     // each once

  /// The captured listener for an original destination: the longest prefix, an exact port before
  /// any port; kOutboundOther or kInboundOther where none matches.
  [[nodiscard]] std::size_t find_outbound(const SocketAddress& destination) const noexcept;
  [[nodiscard]] std::size_t find_inbound(const SocketAddress& destination) const noexcept;
  /// By name; kNoMatch where it is gone.
  [[nodiscard]] std::size_t find_listener(const std::string& name) const noexcept;
  [[nodiscard]] std::size_t find_cluster(const std::string& name) const noexcept;
  /// Null where the cluster is gone.
  [[nodiscard]] const EndpointsPart* find_endpoints(const std::string& cluster) const noexcept;
  /// The first certificate that has a SPIFFE ID; null: this host has no identity.
  [[nodiscard]] const identity::Presented* own_identity() const noexcept;
  /// By name; null where there is none.
  [[nodiscard]] const SecretPart* find_secret(std::string_view name) const noexcept;

  // Never null.
  std::shared_ptr<const ListenerIndex> listener_index;
  std::shared_ptr<const ClusterIndex> cluster_index;
};
using SnapshotPtr = std::shared_ptr<const Snapshot>;

/// Positions in `now` of the clusters that are new or others than in `before`, and of those whose
/// endpoints are; null: all. Where both have the same cluster index it costs what has changed.
[[nodiscard]] std::vector<std::size_t> changed_clusters(const Snapshot& now,
                                                        const Snapshot* before);

}  // namespace mooring::snapshot
