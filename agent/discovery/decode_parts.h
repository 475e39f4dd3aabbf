// The decoders of the parts of a resource, each in a file of its name. Internal to discovery.
#pragma once

#include "discovery/decode.h"
#include "discovery/decode_reader.h"
#include "xdsapi/accesslog.pb.h"
#include "xdsapi/cluster.pb.h"
#include "xdsapi/endpoint.pb.h"
#include "xdsapi/http_connection_manager.pb.h"
#include "xdsapi/listener.pb.h"
#include "xdsapi/network_rbac.pb.h"
#include "xdsapi/tls.pb.h"

namespace mooring::discovery {

namespace accesslog_v3 = envoy::config::accesslog::v3;
namespace cluster_v3 = envoy::config::cluster::v3;
namespace endpoint_v3 = envoy::config::endpoint::v3;
namespace hcm_v3 = envoy::extensions::filters::network::http_connection_manager::v3;
namespace listener_v3 = envoy::config::listener::v3;
namespace rbac_v3 = envoy::config::rbac::v3;
namespace network_rbac_v3 = envoy::extensions::filters::network::rbac::v3;
namespace tls_v3 = envoy::extensions::transport_sockets::tls::v3;

inline constexpr std::string_view kHttpConnectionManager =
    "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";

/// What a TLS context brings: secrets that are written inside it, named after `owner` and the path.
struct TlsScope {
  std::string_view owner;
  std::vector<snapshot::Secret>& secrets;
};

/// None: plain bytes. The message is in the reader's present field.
[[nodiscard]] std::optional<snapshot::TlsContext> decode_upstream_socket(
    Reader& reader, const core_v3::TransportSocket& socket, TlsScope scope);
[[nodiscard]] std::optional<snapshot::TlsContext> decode_downstream_socket(
    Reader& reader, const core_v3::TransportSocket& socket, TlsScope scope);
[[nodiscard]] snapshot::TlsParameters decode_tls_parameters(Reader& reader,
                                                            const tls_v3::TlsParameters& message);
[[nodiscard]] snapshot::Secret decode_secret(Reader& reader, const tls_v3::Secret& message);

[[nodiscard]] snapshot::LoadAssignment decode_load_assignment(
    Reader& reader, const endpoint_v3::ClusterLoadAssignment& message);
/// The path, if the assignment is one unix socket and nothing else.
[[nodiscard]] std::optional<std::string> pipe_of(const endpoint_v3::ClusterLoadAssignment& message);

[[nodiscard]] snapshot::Cluster decode_cluster(Reader& reader,
                                               const cluster_v3::Cluster& message,
                                               std::vector<snapshot::Secret>& secrets);
/// `path` is what pipe_of() finds in it.
[[nodiscard]] PipeCluster decode_pipe_cluster(Reader& reader,
                                              const cluster_v3::Cluster& message,
                                              const std::string& path);
[[nodiscard]] snapshot::LoadBalancing decode_load_balancing(Reader& reader,
                                                            const cluster_v3::Cluster& message);
[[nodiscard]] snapshot::OutlierDetection decode_outlier_detection(
    Reader& reader, const cluster_v3::OutlierDetection& message);
[[nodiscard]] std::vector<snapshot::HealthCheck> decode_health_checks(
    Reader& reader, const cluster_v3::Cluster& message);

[[nodiscard]] snapshot::Authorization decode_authorization(Reader& reader,
                                                           const network_rbac_v3::RBAC& message);
[[nodiscard]] std::vector<snapshot::AccessLog> decode_access_logs(
    Reader& reader, const google::protobuf::RepeatedPtrField<accesslog_v3::AccessLog>& logs);

[[nodiscard]] snapshot::Listener decode_listener(Reader& reader,
                                                 const listener_v3::Listener& message,
                                                 std::vector<snapshot::Secret>& secrets);
/// The network filters of a chain, into what they say of it.
void decode_filters(Reader& reader,
                    const listener_v3::FilterChain& message,
                    snapshot::FilterChain& chain);

/// None: it is not one.
[[nodiscard]] std::optional<SystemListener::Kind> system_kind(const listener_v3::Listener& message);
[[nodiscard]] SystemListener decode_system_listener(Reader& reader,
                                                    SystemListener::Kind kind,
                                                    const listener_v3::Listener& message,
                                                    std::vector<snapshot::Secret>& secrets);

}  // namespace mooring::discovery
