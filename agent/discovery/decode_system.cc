// The control plane's own listeners: HTTP of three known shapes. protocol.md has them as recorded;
// 2.14 gives them other names.
#include <algorithm>
#include <array>

#include "discovery/decode_parts.h"

namespace mooring::discovery {

namespace {

namespace route_v3 = envoy::config::route::v3;
using Kind = SystemListener::Kind;

constexpr int kMaxRoutes = 64;
constexpr std::size_t kMaxBodyBytes = 4u << 20;  // a table of 20,000 names
constexpr std::array<std::string_view, 3> kNames{"system_", "kuma:", "_kuma:"};
constexpr std::string_view kTlsInspector =
    "envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector";
constexpr std::string_view kRouter = "envoy.extensions.filters.http.router.v3.Router";

/// The HTTP connection manager that is a chain's only filter.
std::optional<hcm_v3::HttpConnectionManager> manager_of(const listener_v3::FilterChain& chain) {
  hcm_v3::HttpConnectionManager out;
  if (chain.filters_size() != 1) return std::nullopt;
  const google::protobuf::Any& any = chain.filters(0).typed_config();
  if (type_name(any) != kHttpConnectionManager || !out.ParseFromString(any.value()))
    return std::nullopt;
  if (out.route_config().virtual_hosts_size() != 1) return std::nullopt;
  if (out.route_config().virtual_hosts(0).routes_size() == 0) return std::nullopt;
  return out;
}

/// A prefix that is sent to a cluster as `rewritten`.
bool forwards(const route_v3::Route& route, std::string_view prefix, std::string_view rewritten) {
  return route.has_route() && (prefix.empty() || route.match().prefix() == prefix) &&
         route.route().prefix_rewrite() == rewritten;
}

bool is_admin_route(const route_v3::Route& route) {
  return forwards(route, "/ready", "/ready") || forwards(route, "/", "/");
}
bool is_answer(const route_v3::Route& route) {
  return route.has_direct_response() && !route.match().path().empty();
}
bool is_metrics_route(const route_v3::Route& route) {
  return forwards(route, "", "/meshmetric");
}

bool all_routes(const hcm_v3::HttpConnectionManager& manager, bool (*is)(const route_v3::Route&)) {
  const auto& routes = manager.route_config().virtual_hosts(0).routes();
  return std::all_of(routes.begin(), routes.end(), is);
}

bool has_everything(const hcm_v3::HttpConnectionManager& manager) {
  const auto& routes = manager.route_config().virtual_hosts(0).routes();
  return std::any_of(
      routes.begin(), routes.end(), [](const route_v3::Route& r) { return forwards(r, "/", "/"); });
}

/// Everything is only for who is known: readiness for all.
bool is_admin(const listener_v3::Listener& message) {
  for (const listener_v3::FilterChain& chain : message.filter_chains()) {
    const auto manager = manager_of(chain);
    if (!manager || !all_routes(*manager, is_admin_route)) return false;
    if (has_everything(*manager) && !chain.has_transport_socket()) return false;
  }
  return message.address().has_socket_address();
}

// ---- decoding

void check_filters(Reader& reader, const hcm_v3::HttpConnectionManager& manager) {
  if (!reader.within("http_filters", manager.http_filters_size(), 1)) return;
  for (int i = 0; i < manager.http_filters_size(); ++i) {
    const hcm_v3::HttpFilter& filter = manager.http_filters(i);
    const In in(reader, "http_filters", i, filter);
    const In config(reader, "typed_config", filter.typed_config());
    const std::string_view type = type_name(filter.typed_config());
    if (type != kRouter) reader.reject("", "is a filter that a system listener does not have");
    reader.check_unknown(type, filter.typed_config().value());
  }
  if (manager.access_log_size() > 0)
    reader.ignore("access_log", "the control plane's own requests are in our log");
}

/// The route of a condition on a header is the same path's answer "not modified".
void decode_answer(Reader& reader, const route_v3::Route& route, SystemListener& out) {
  const std::string path = read_name(reader, "match.path", route.match().path());
  const route_v3::DirectResponseAction& answer = route.direct_response();
  const In in(reader, "direct_response", answer);
  if (route.match().headers_size() > 0 || answer.status() != 200) return;
  std::string body =
      answer.has_body() ? read_data(reader, "body", answer.body(), kMaxBodyBytes) : std::string();
  if (!out.bodies.emplace(path, std::move(body)).second) reader.reject("", "is there twice");
}

void decode_route(Reader& reader, const route_v3::Route& route, SystemListener& out) {
  {
    const In match(reader, "match", route.match());
    for (int i = 0; i < route.match().headers_size(); ++i) {
      const In header(reader, "headers", i, route.match().headers(i));
      (void)read_matcher(reader, "string_match", route.match().headers(i).string_match());
    }
  }
  if (out.kind == Kind::dynamic_config) return decode_answer(reader, route, out);
  const In action(reader, "route", route.route());
  if (out.kind != Kind::metrics) return;
  if (!out.path.empty()) reader.reject("", "is not the only one");
  out.path = read_name(reader, "prefix", route.match().prefix());
}

void decode_manager(Reader& reader, const listener_v3::FilterChain& chain, SystemListener& out) {
  const In filter(reader, "filters", 0, chain.filters(0));
  const In config(reader, "typed_config", chain.filters(0).typed_config());
  hcm_v3::HttpConnectionManager message;
  if (!reader.parse(chain.filters(0).typed_config().value(), message)) return;
  const In in(reader, "", message);
  check_filters(reader, message);
  const In routes(reader, "route_config", message.route_config());
  const route_v3::VirtualHost& host = message.route_config().virtual_hosts(0);
  const In inside(reader, "virtual_hosts", 0, host);
  if (!reader.within("routes", host.routes_size(), kMaxRoutes)) return;
  for (int i = 0; i < host.routes_size(); ++i) {
    const In one(reader, "routes", i, host.routes(i));
    decode_route(reader, host.routes(i), out);
  }
}

/// Nothing, or "tls".
void check_match(Reader& reader, const listener_v3::FilterChain& chain) {
  listener_v3::FilterChainMatch expected;
  const In in(reader, "filter_chain_match", chain.filter_chain_match());
  if (chain.filter_chain_match().transport_protocol() == "tls")
    expected.set_transport_protocol("tls");
  if (chain.filter_chain_match().SerializeAsString() != expected.SerializeAsString())
    reader.reject("", "is not that of a system listener");
}

void decode_socket(Reader& reader,
                   const listener_v3::FilterChain& chain,
                   TlsScope scope,
                   SystemListener& out) {
  if (!chain.has_transport_socket()) return;
  const In socket(reader, "transport_socket", chain.transport_socket());
  if (out.tls) reader.reject("", "is the second one of a system listener");
  out.tls = decode_downstream_socket(reader, chain.transport_socket(), scope);
  if (out.kind == Kind::admin && out.tls && !out.tls->require_client_certificate)
    reader.reject("", "lets everybody in");
}

void check_inspectors(Reader& reader, const listener_v3::Listener& message) {
  if (!reader.within("listener_filters", message.listener_filters_size(), 1)) return;
  for (int i = 0; i < message.listener_filters_size(); ++i) {
    const listener_v3::ListenerFilter& filter = message.listener_filters(i);
    const In in(reader, "listener_filters", i, filter);
    const In config(reader, "typed_config", filter.typed_config());
    const std::string_view type = type_name(filter.typed_config());
    if (type != kTlsInspector) reader.reject("", "is not one of a system listener");
    reader.check_unknown(type, filter.typed_config().value());
  }
}

void decode_address(Reader& reader, const listener_v3::Listener& message, SystemListener& out) {
  const In in(reader, "address", message.address());
  if (out.kind == Kind::dynamic_config) return;  // its socket is nobody's
  out.address = read_socket_address(reader, "socket_address", message.address().socket_address());
  if (out.address && out.address->port == 0) reader.reject("socket_address.port_value", "is 0");
}

}  // namespace

std::optional<Kind> system_kind(const listener_v3::Listener& message) {
  const std::string_view name = message.name();
  if (std::none_of(kNames.begin(), kNames.end(), [&](auto n) { return name.starts_with(n); }))
    return std::nullopt;
  if (message.filter_chains_size() == 0) return std::nullopt;
  if (message.filter_chains_size() <= 2 && is_admin(message)) return Kind::admin;
  if (message.filter_chains_size() != 1) return std::nullopt;
  const auto manager = manager_of(message.filter_chains(0));
  if (!manager) return std::nullopt;
  if (message.address().has_pipe() && all_routes(*manager, is_answer)) return Kind::dynamic_config;
  if (message.address().has_socket_address() && all_routes(*manager, is_metrics_route))
    return Kind::metrics;
  return std::nullopt;
}

SystemListener decode_system_listener(Reader& reader,
                                      Kind kind,
                                      const listener_v3::Listener& message,
                                      std::vector<snapshot::Secret>& secrets) {
  SystemListener out;
  out.kind = kind;
  const In in(reader, "", message);
  out.name = read_resource_name(reader, "name", message.name());
  decode_address(reader, message, out);
  check_inspectors(reader, message);
  if (message.has_bind_to_port() || message.has_use_original_dst())
    reader.reject("bind_to_port", "is not that of a system listener");
  for (int i = 0; i < message.filter_chains_size(); ++i) {
    const listener_v3::FilterChain& chain = message.filter_chains(i);
    const In one(reader, "filter_chains", i, chain);
    check_match(reader, chain);
    decode_socket(reader, chain, TlsScope{out.name, secrets}, out);
    decode_manager(reader, chain, out);
  }
  return out;
}

}  // namespace mooring::discovery
