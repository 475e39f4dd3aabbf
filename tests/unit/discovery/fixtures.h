// Resources as a control plane would send them, with everything in them that is understood.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include "discovery/decode.h"
#include "xdsapi/cluster.pb.h"
#include "xdsapi/endpoint.pb.h"
#include "xdsapi/http_connection_manager.pb.h"
#include "xdsapi/listener.pb.h"
#include "xdsapi/network_rbac.pb.h"
#include "xdsapi/tcp_proxy.pb.h"
#include "xdsapi/tls.pb.h"

namespace mooring::discovery {

namespace cluster_v3 = envoy::config::cluster::v3;
namespace core_v3 = envoy::config::core::v3;
namespace endpoint_v3 = envoy::config::endpoint::v3;
namespace hcm_v3 = envoy::extensions::filters::network::http_connection_manager::v3;
namespace listener_v3 = envoy::config::listener::v3;
namespace network_rbac_v3 = envoy::extensions::filters::network::rbac::v3;
namespace rbac_v3 = envoy::config::rbac::v3;
namespace tcp_v3 = envoy::extensions::filters::network::tcp_proxy::v3;
namespace tls_v3 = envoy::extensions::transport_sockets::tls::v3;

inline const std::string_view kClusterType = type_url(ResourceKind::cluster);
inline const std::string_view kEndpointType = type_url(ResourceKind::endpoints);
inline const std::string_view kListenerType = type_url(ResourceKind::listener);
inline const std::string_view kSecretType = type_url(ResourceKind::secret);

template <class Message>
void pack(const Message& message, google::protobuf::Any& any) {
  any.set_type_url("type.googleapis.com/" + message.GetTypeName());
  any.set_value(message.SerializeAsString());
}
/// What has no fields of consequence: "envoy.…RawBuffer".
inline void pack_empty(std::string_view type, google::protobuf::Any& any) {
  any.set_type_url("type.googleapis.com/" + std::string(type));
}

inline void set_address(core_v3::Address& address, const std::string& ip, std::uint32_t port) {
  address.mutable_socket_address()->set_address(ip);
  address.mutable_socket_address()->set_port_value(port);
}

/// Certificate and trust by ADS, a URI SAN that begins with "spiffe://mesh/".
inline tls_v3::CommonTlsContext common_tls() {
  tls_v3::CommonTlsContext out;
  auto* certificate = out.add_tls_certificate_sds_secret_configs();
  certificate->set_name("identity");
  certificate->mutable_sds_config()->mutable_ads();
  certificate->mutable_sds_config()->set_resource_api_version(core_v3::V3);
  auto* combined = out.mutable_combined_validation_context();
  auto* san = combined->mutable_default_validation_context()->add_match_typed_subject_alt_names();
  san->set_san_type(tls_v3::SubjectAltNameMatcher::URI);
  san->mutable_matcher()->set_prefix("spiffe://mesh/");
  combined->mutable_validation_context_sds_secret_config()->set_name("trust");
  combined->mutable_validation_context_sds_secret_config()->mutable_sds_config()->mutable_ads();
  return out;
}

inline void set_upstream_tls(core_v3::TransportSocket& socket,
                             const tls_v3::CommonTlsContext& tls) {
  tls_v3::UpstreamTlsContext context;
  *context.mutable_common_tls_context() = tls;
  context.mutable_common_tls_context()->add_alpn_protocols("kuma");
  context.set_sni("web.sni");
  pack(context, *socket.mutable_typed_config());
}

inline void set_downstream_tls(core_v3::TransportSocket& socket,
                               const tls_v3::CommonTlsContext& tls) {
  tls_v3::DownstreamTlsContext context;
  *context.mutable_common_tls_context() = tls;
  context.mutable_require_client_certificate()->set_value(true);
  pack(context, *socket.mutable_typed_config());
}

inline cluster_v3::Cluster eds_cluster() {
  cluster_v3::Cluster out;
  out.set_name("web");
  out.set_type(cluster_v3::Cluster::EDS);
  out.mutable_eds_cluster_config()->mutable_eds_config()->mutable_ads();
  out.mutable_connect_timeout()->set_seconds(3);
  set_upstream_tls(*out.mutable_transport_socket(), common_tls());
  return out;
}

inline cluster_v3::Cluster static_cluster(const std::string& ip) {
  cluster_v3::Cluster out;
  out.set_name("local");
  out.mutable_load_assignment()->set_cluster_name("local");
  auto* endpoint = out.mutable_load_assignment()->add_endpoints()->add_lb_endpoints();
  set_address(*endpoint->mutable_endpoint()->mutable_address(), ip, 8080);
  return out;
}

inline tcp_v3::TcpProxy tcp_proxy() {
  tcp_v3::TcpProxy out;
  out.set_cluster("local");
  return out;
}

/// The SPIFFE ID `id` is allowed, and nobody else.
network_rbac_v3::RBAC allow_only(const std::string& id);

/// 10.0.0.1:5432, captured, with mutual TLS, authorization and a TCP proxy to "local".
inline listener_v3::Listener inbound_listener() {
  listener_v3::Listener out;
  out.set_name("inbound");
  set_address(*out.mutable_address(), "10.0.0.1", 5432);
  out.set_traffic_direction(core_v3::INBOUND);
  out.mutable_bind_to_port()->set_value(false);
  auto* chain = out.add_filter_chains();
  set_downstream_tls(*chain->mutable_transport_socket(), common_tls());
  pack(allow_only("spiffe://mesh/web"), *chain->add_filters()->mutable_typed_config());
  pack(tcp_proxy(), *chain->add_filters()->mutable_typed_config());
  return out;
}

/// 240.0.0.1:5432, captured, to "web".
inline listener_v3::Listener outbound_listener() {
  listener_v3::Listener out;
  out.set_name("outbound");
  set_address(*out.mutable_address(), "240.0.0.1", 5432);
  out.set_traffic_direction(core_v3::OUTBOUND);
  out.mutable_bind_to_port()->set_value(false);
  pack(tcp_proxy(), *out.add_filter_chains()->add_filters()->mutable_typed_config());
  return out;
}

template <class Message>
[[nodiscard]] DecodeResult decode_message(std::string_view type, const Message& message) {
  return decode(type, "", message.SerializeAsString());
}
[[nodiscard]] inline DecodeResult decode_message(const cluster_v3::Cluster& message) {
  return decode_message(kClusterType, message);
}
[[nodiscard]] inline DecodeResult decode_message(const listener_v3::Listener& message) {
  return decode_message(kListenerType, message);
}
[[nodiscard]] inline DecodeResult decode_message(
    const endpoint_v3::ClusterLoadAssignment& message) {
  return decode_message(kEndpointType, message);
}
[[nodiscard]] inline DecodeResult decode_message(const tls_v3::Secret& message) {
  return decode_message(kSecretType, message);
}

/// Of a message that must be taken.
template <class Value, class Message>
[[nodiscard]] Value taken(const Message& message) {
  const DecodeResult result = decode_message(message);
  EXPECT_TRUE(result.has_value()) << describe(result.error());
  if (!result || !std::holds_alternative<Value>(result->resource)) {
    ADD_FAILURE() << "is of another kind";
    return {};
  }
  return std::get<Value>(result->resource);
}

/// "field: reason" of a message that must not be taken.
template <class Message>
[[nodiscard]] std::string rejection(const Message& message) {
  const DecodeResult result = decode_message(message);
  if (result) return "";
  return result.error().field + ": " + result.error().reason;
}

}  // namespace mooring::discovery
