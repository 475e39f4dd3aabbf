// The fields of the public API that our messages leave out, reviewed: each is of no consequence
// here, for the reason beside it, or makes a resource rejected by its name. What is not even here
// is rejected by its number.
#include <algorithm>
#include <charconv>
#include <span>

#include "discovery/decode_reader.h"

namespace mooring::discovery {

namespace {

struct LeftOut {
  std::string_view message;
  std::string_view fields;  // "NUMBER:NAME NUMBER:NAME"
  std::string_view harmless_because;
};

constexpr LeftOut kHarmless[] = {
    {"envoy.config.cluster.v3.CircuitBreakers.Thresholds",
     "3:max_pending_requests 4:max_requests 5:max_retries 8:retry_budget "
     "7:max_connection_pools",
     "is about requests of HTTP"},
    {"envoy.config.cluster.v3.CircuitBreakers.Thresholds", "6:track_remaining", "is a statistic"},
    {"envoy.config.cluster.v3.Cluster", "28:alt_stat_name", "only names statistics"},
    {"envoy.config.cluster.v3.Cluster",
     "29:common_http_protocol_options 13:http_protocol_options 14:http2_protocol_options "
     "46:upstream_http_protocol_options 9:max_requests_per_connection 26:protocol_selection",
     "is about HTTP, which passes as bytes"},
    {"envoy.config.cluster.v3.Cluster",
     "47:track_timeout_budgets 49:track_cluster_stats",
     "is a statistic"},
    {"envoy.config.cluster.v3.Cluster",
     "5:per_connection_buffer_limit_bytes",
     "our buffers have bounds of their own"},
    {"envoy.config.cluster.v3.Cluster",
     "17:dns_lookup_family",
     "addresses of both families are looked up"},
    {"envoy.config.cluster.v3.Cluster",
     "16:dns_refresh_rate 58:dns_jitter 44:dns_failure_refresh_rate 39:respect_dns_ttl",
     "names are looked up anew at our own pace"},
    {"envoy.config.cluster.v3.Cluster",
     "20:cleanup_interval",
     "an original destination is not kept after its connection"},
    {"envoy.config.cluster.v3.Cluster", "25:metadata", "nothing here looks at it"},
    {"envoy.config.cluster.v3.Cluster",
     "30:upstream_connection_options",
     "TCP keepalive is always on"},
    {"envoy.config.cluster.v3.Cluster",
     "32:ignore_health_on_host_removal",
     "an endpoint that was removed gets no new connection in any case"},
    {"envoy.config.cluster.v3.Cluster",
     "54:wait_for_warm_on_init",
     "a listener waits for its clusters in any case"},
    {"envoy.config.cluster.v3.Cluster", "50:preconnect_policy", "only makes first requests faster"},
    {"envoy.config.cluster.v3.Cluster",
     "51:connection_pool_per_downstream_connection",
     "connections are never shared"},
    {"envoy.config.cluster.v3.Cluster.CommonLbConfig",
     "4:update_merge_window",
     "every update is applied at once"},
    {"envoy.config.cluster.v3.Cluster.CommonLbConfig.ZoneAwareLbConfig",
     "1:routing_enabled 2:min_cluster_size",
     "has an effect only where a bootstrap names a local cluster"},
    {"envoy.config.core.v3.ApiConfigSource", "8:transport_api_version", "there is only one"},
    {"envoy.config.core.v3.ApiConfigSource",
     "7:set_node_on_first_message_only",
     "only saves bytes"},
    {"envoy.config.core.v3.ConfigSource",
     "4:initial_fetch_timeout",
     "a listener waits for what it needs"},
    {"envoy.config.core.v3.HealthCheck",
     "17:event_log_path 25:event_logger 22:event_service "
     "19:always_log_health_check_failures 26:always_log_health_check_success",
     "health changes are in our own log"},
    {"envoy.config.core.v3.Metadata", "2:typed_filter_metadata", "nothing here looks at it"},
    {"envoy.config.core.v3.RuntimeDouble",
     "2:runtime_key",
     "there is no runtime that would override it"},
    {"envoy.config.core.v3.SubstitutionFormatString", "4:content_type", "is about answers of HTTP"},
    {"envoy.config.cluster.v3.OutlierDetection",
     "22:max_ejection_time_jitter",
     "only spreads the end of ejections"},
    {"envoy.config.endpoint.v3.Endpoint", "3:hostname", "is for requests of HTTP"},
    {"envoy.config.endpoint.v3.LocalityLbEndpoints", "9:metadata", "nothing here looks at it"},
    {"envoy.config.listener.v3.FilterChain", "5:metadata", "nothing here looks at it"},
    {"envoy.config.listener.v3.FilterChain",
     "9:transport_socket_connect_timeout",
     "handshakes have a time limit of their own"},
    {"envoy.config.listener.v3.Listener", "28:stat_prefix", "only names statistics"},
    {"envoy.config.listener.v3.Listener", "6:metadata", "nothing here looks at it"},
    {"envoy.config.listener.v3.Listener",
     "5:per_connection_buffer_limit_bytes",
     "our buffers have bounds of their own"},
    {"envoy.config.listener.v3.Listener",
     "8:drain_type",
     "connections go on when a listener changes or goes"},
    {"envoy.config.listener.v3.Listener",
     "24:tcp_backlog_size 34:max_connections_to_accept_per_socket_event "
     "20:connection_balance_config",
     "how connections are accepted is our own matter"},
    {"envoy.config.listener.v3.Listener",
     "29:enable_reuse_port 21:reuse_port",
     "every worker has a socket of its own"},
    {"envoy.extensions.filters.http.router.v3.Router",
     "1:dynamic_stats 2:start_child_span 4:suppress_envoy_headers",
     "is about requests that are forwarded"},
    {"envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
     "2:stat_prefix",
     "only names statistics"},
    {"envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
     "25:internal_address_config",
     "no address counts as internal here"},
    {"envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
     "35:common_http_protocol_options 8:http_protocol_options 9:http2_protocol_options "
     "24:stream_idle_timeout 28:request_timeout 41:request_headers_timeout 12:drain_timeout "
     "26:delayed_close_timeout",
     "our own server has limits of its own"},
    {"envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
     "1:codec_type 30:normalize_path 10:server_name 34:server_header_transformation",
     "requests are answered by our own server"},
    {"envoy.extensions.filters.network.local_ratelimit.v3.LocalRateLimit",
     "1:stat_prefix",
     "only names statistics"},
    {"envoy.extensions.filters.network.rbac.v3.RBAC",
     "5:shadow_rules_stat_prefix",
     "only names statistics"},
    {"envoy.extensions.filters.network.rbac.v3.RBAC",
     "4:enforcement_type",
     "a verdict holds for the whole connection, and is looked at again when rules change"},
    {"envoy.extensions.filters.network.rbac.v3.RBAC",
     "8:delay_deny",
     "who is denied is refused at once"},
    {"envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
     "1:stat_prefix",
     "only names statistics"},
    {"envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
     "15:access_log_flush_interval 16:flush_access_log_on_connected 17:access_log_options",
     "a connection has one line, at its end"},
    {"envoy.extensions.filters.common.set_filter_state.v3.FilterStateValue",
     "6:factory_key 2:format_string 3:read_only 4:shared_with_upstream 5:skip_if_empty",
     "nothing here reads the value"},
    {"envoy.config.route.v3.Route", "14:name", "is only for people"},
    {"envoy.config.route.v3.Route",
     "10:response_headers_to_add",
     "is of an answer that nobody asks for: the body is data for us"},
    {"envoy.config.route.v3.RouteAction",
     "8:timeout 24:idle_timeout",
     "our own server has limits of its own"},
    {"envoy.config.route.v3.RouteConfiguration", "1:name", "is only for people"},
    {"envoy.config.route.v3.RouteConfiguration",
     "7:validate_clusters",
     "nothing is forwarded to a cluster"},
    {"envoy.config.route.v3.RouteConfiguration",
     "11:max_direct_response_body_size_bytes",
     "the body has a bound of our own"},
    {"envoy.config.route.v3.VirtualHost", "1:name 2:domains", "there is only one"},
    {"envoy.type.matcher.v3.RegexMatcher", "1:google_re2", "RE2 is the engine"},
    {"xds.type.matcher.v3.RegexMatcher", "1:google_re2", "RE2 is the engine"},
    {"envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
     "10:disable_stateful_session_resumption",
     "the server keeps no sessions"},
    {"envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
     "9:full_scan_certs_on_sni_mismatch",
     "there is one certificate"},
    {"envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
     "11:prefer_client_ciphers",
     "every suite that is spoken is as good"},
    {"envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
     "4:max_session_keys",
     "the sessions that are kept have a bound of our own"},
};

constexpr LeftOut kUnsupported[] = {
    {"envoy.config.cluster.v3.Cluster",
     "38:cluster_type 22:lb_subset_config 34:original_dst_lb_config "
     "56:round_robin_lb_config 31:close_connections_on_host_health_failure 40:filters "
     "41:load_balancing_policy 42:lrs_server 48:upstream_config "
     "55:typed_dns_resolver_config",
     ""},
    {"envoy.config.cluster.v3.CircuitBreakers", "2:per_host_thresholds", ""},
    {"envoy.config.cluster.v3.Cluster.CommonLbConfig",
     "5:ignore_new_hosts_until_first_hc 6:close_connections_on_host_set_change "
     "7:consistent_hashing_lb_config 8:override_host_status",
     ""},
    {"envoy.config.core.v3.BindConfig",
     "2:freebind 3:socket_options 5:extra_source_addresses 4:additional_source_addresses "
     "6:local_address_selector",
     ""},
    {"envoy.config.core.v3.DataSource", "4:environment_variable 5:watched_directory", ""},
    {"envoy.config.core.v3.HealthCheck",
     "6:alt_port 13:custom_health_check 21:tls_options 23:transport_socket_match_criteria "
     "14:unhealthy_interval 15:unhealthy_edge_interval 16:healthy_edge_interval "
     "24:no_traffic_healthy_interval",
     ""},
    {"envoy.config.core.v3.ConfigSource", "1:path 8:path_config_source 5:self", ""},
    {"envoy.config.endpoint.v3.Endpoint", "2:health_check_config 4:additional_addresses", ""},
    {"envoy.config.endpoint.v3.ClusterLoadAssignment", "5:named_endpoints", ""},
    {"envoy.config.endpoint.v3.ClusterLoadAssignment.Policy",
     "2:drop_overloads 4:endpoint_stale_after 6:weighted_priority_health",
     ""},
    {"envoy.config.listener.v3.Filter", "5:config_discovery", ""},
    {"envoy.config.listener.v3.FilterChainMatch",
     "4:address_suffix 5:suffix_len 13:direct_source_prefix_ranges 12:source_type "
     "6:source_prefix_ranges 7:source_ports",
     ""},
    {"envoy.config.listener.v3.Listener",
     "33:additional_addresses 32:filter_chain_matcher 25:default_filter_chain "
     "15:listener_filters_timeout 17:continue_on_listener_filters_timeout 10:transparent "
     "11:freebind 13:socket_options 18:udp_listener_config 19:api_listener 22:access_log "
     "27:internal_listener 30:enable_mptcp",
     ""},
    {"envoy.config.listener.v3.ListenerFilter", "5:config_discovery 4:filter_disabled", ""},
    {"envoy.config.rbac.v3.Permission",
     "4:header 10:url_path 7:metadata 12:matcher 13:uri_template 14:sourced_metadata",
     ""},
    {"envoy.config.rbac.v3.Policy", "3:condition 4:checked_condition", ""},
    {"envoy.config.rbac.v3.Principal",
     "11:remote_ip 6:header 9:url_path 7:metadata 12:filter_state 13:sourced_metadata",
     ""},
    {"envoy.config.rbac.v3.RBAC", "3:audit_logging_options", ""},
    {"envoy.extensions.access_loggers.file.v3.FileAccessLog",
     "2:format 3:json_format 4:typed_json_format",
     ""},
    {"envoy.extensions.filters.network.local_ratelimit.v3.LocalRateLimit",
     "3:runtime_enabled 4:share_key",
     ""},
    {"envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
     "14:on_demand 9:metadata_match 3:downstream_idle_timeout 4:upstream_idle_timeout "
     "18:backoff_options 11:hash_policy 12:tunneling_config "
     "13:max_downstream_connection_duration",
     ""},
    {"envoy.extensions.transport_sockets.tls.v3.CertificateValidationContext",
     "13:ca_certificate_provider_instance 17:system_root_certs 11:watched_directory "
     "3:verify_certificate_spki 2:verify_certificate_hash 9:match_subject_alt_names "
     "6:require_signed_certificate_timestamp 7:crl 8:allow_expired_certificate "
     "10:trust_chain_verification 14:only_verify_leaf_cert_crl 16:max_verify_depth",
     ""},
    {"envoy.extensions.transport_sockets.tls.v3.CommonTlsContext",
     "14:tls_certificate_provider_instance 16:custom_tls_certificate_selector "
     "13:custom_handshaker 15:key_log",
     ""},
    {"envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
     "3:require_sni 4:session_ticket_keys 5:session_ticket_keys_sds_secret_config "
     "6:session_timeout 8:ocsp_staple_policy",
     ""},
    {"envoy.extensions.transport_sockets.tls.v3.SPIFFECertValidatorConfig", "2:trust_bundles", ""},
    {"envoy.extensions.transport_sockets.tls.v3.Secret",
     "3:session_ticket_keys 5:generic_secret",
     ""},
    {"envoy.extensions.transport_sockets.tls.v3.TlsCertificate",
     "8:pkcs12 7:watched_directory 6:private_key_provider 3:password 4:ocsp_staple "
     "5:signed_certificate_timestamp",
     ""},
    {"envoy.extensions.transport_sockets.tls.v3.TlsParameters", "5:signature_algorithms", ""},
    {"envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
     "6:auto_host_sni 7:auto_sni_san_validation 3:allow_renegotiation "
     "5:enforce_rsa_key_usage",
     ""},
    {"envoy.type.matcher.v3.StringMatcher", "8:custom", ""},
    {"xds.type.matcher.v3.Matcher", "2:matcher_tree", ""},
    {"xds.type.matcher.v3.Matcher.MatcherList.Predicate.SinglePredicate", "3:custom_match", ""},
    {"xds.type.matcher.v3.Matcher.OnMatch", "3:keep_matching", ""},
};

std::optional<LeftOutField> find_in(const LeftOut& row, std::uint32_t number) {
  std::string_view rest = row.fields;
  while (!rest.empty()) {
    const std::string_view field = rest.substr(0, rest.find(' '));
    rest.remove_prefix(std::min(field.size() + 1, rest.size()));
    std::uint32_t found = 0;
    const auto parsed = std::from_chars(field.data(), field.data() + field.size(), found);
    if (found == number) {
      return LeftOutField{field.substr(static_cast<std::size_t>(parsed.ptr - field.data()) + 1),
                          row.harmless_because};
    }
  }
  return std::nullopt;
}

}  // namespace

std::optional<LeftOutField> find_left_out(std::string_view message, std::uint32_t number) {
  for (const std::span<const LeftOut> rows :
       {std::span<const LeftOut>(kHarmless), std::span<const LeftOut>(kUnsupported)}) {
    for (const LeftOut& row : rows) {
      if (row.message != message) continue;
      if (const auto found = find_in(row, number)) return found;
    }
  }
  return std::nullopt;
}

}  // namespace mooring::discovery
