#include "admin/routes.h"

#include <charconv>
#include <nlohmann/json.hpp>

namespace mooring::admin {

http::Response json_response(std::string body, int status) {
  return {.status = status, .content_type = "application/json", .body = std::move(body)};
}

http::Response refuse(int status, std::string_view message) {
  nlohmann::json body{{"error", message}};
  return json_response(body.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n",
                       status);
}

namespace {

using http::Method;
using http::Request;
using http::Response;

Response get_ready(const Handlers& handlers, const Request&) {
  if (!handlers.ready) return refuse(501, "readiness is not known");
  const Readiness readiness = handlers.ready();
  // Envoy's words; load balancers and probes look at the status.
  if (readiness.ready) return {.body = "LIVE\n"};
  return {.status = 503, .body = readiness.reason + "\n"};
}

Response get_metrics(const Handlers& handlers, const Request&) {
  if (!handlers.metrics) return refuse(501, "metrics are not available");
  return {.content_type = "text/plain; version=0.0.4; charset=utf-8", .body = handlers.metrics()};
}

template <std::function<std::string()> Handlers::* source>
Response get_json(const Handlers& handlers, const Request&) {
  const auto& function = handlers.*source;
  return function ? json_response(function()) : refuse(501, "not available");
}

template <std::function<std::string(TextForm)> Handlers::* source>
Response get_envoy(const Handlers& handlers, const Request& request) {
  const auto& function = handlers.*source;
  if (!function) return refuse(501, "not available");
  if (request.parameter("format") == "json") return json_response(function(TextForm::json));
  return {.body = function(TextForm::lines)};
}

Response get_why(const Handlers& handlers, const Request& request) {
  std::size_t limit = static_cast<std::size_t>(-1);
  if (const auto text = request.parameter("limit")) {
    const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), limit);
    if (error != std::errc() || end != text->data() + text->size()) {
      return refuse(400, "limit is not a number");
    }
  }
  if (request.parameter("format") == "text") {
    if (!handlers.why_text) return refuse(501, "not available");
    return {.body = handlers.why_text(limit)};
  }
  return handlers.why ? json_response(handlers.why(limit)) : refuse(501, "not available");
}

template <std::function<http::Response()> Handlers::* effect>
Response post(const Handlers& handlers, const Request&) {
  const auto& function = handlers.*effect;
  return function ? function() : refuse(501, "not available");
}

Response post_logging(const Handlers& handlers, const Request& request) {
  const Result<log::Level> level = log::parse_level(request.parameter("level").value_or(""));
  if (!level) return refuse(400, "level is one of debug, info, warn, error, off");
  return handlers.set_log_level ? handlers.set_log_level(*level) : refuse(501, "not available");
}

enum class Access : std::uint8_t {
  anyone,      // also on the metrics address
  socket,      // whoever may open the unix socket
  privileged,  // root or the agent's own user
  control_plane,
};

bool is_open_to(Access access, const Client& client) {
  switch (access) {
    case Access::anyone:
      return true;
    case Access::socket:
    case Access::privileged:
      return client.over_socket;
    case Access::control_plane:
      return client.is_control_plane;
  }
  return false;
}

struct Route {
  std::string_view path;
  Response (*handle)(const Handlers&, const Request&);
  Method method;
  Access access;
};

constexpr std::string_view kStatusPath = "/status";
constexpr std::string_view kCanaryPath = "/canary";
constexpr std::string_view kMetricsPath = "/metrics";
constexpr std::string_view kEnvoyMetricsPath = "/stats/prometheus";

constexpr Route kRoutes[] = {
    {"/ready", get_ready, Method::get, Access::anyone},
    {kEnvoyMetricsPath, get_metrics, Method::get, Access::anyone},
    {kMetricsPath, get_metrics, Method::get, Access::anyone},
    {"/config_dump", get_json<&Handlers::config_dump>, Method::get, Access::socket},
    {"/clusters", get_json<&Handlers::clusters>, Method::get, Access::socket},
    {kStatusPath, get_json<&Handlers::status>, Method::get, Access::socket},
    {"/why", get_why, Method::get, Access::socket},
    {"/drain", post<&Handlers::drain>, Method::post, Access::privileged},
    {"/reload", post<&Handlers::reload>, Method::post, Access::privileged},
    {kCanaryPath, post<&Handlers::canary>, Method::post, Access::privileged},
    {"/logging", post_logging, Method::post, Access::privileged},
    {"/config_dump", get_json<&Handlers::envoy_config_dump>, Method::get, Access::control_plane},
    {"/clusters", get_envoy<&Handlers::envoy_clusters>, Method::get, Access::control_plane},
    {"/stats", get_envoy<&Handlers::envoy_stats>, Method::get, Access::control_plane},
};

bool is_metrics(const Handlers& handlers, const Request& request) {
  if (request.path == handlers.metrics_path) return true;
  return request.path == kMetricsPath || request.path == kEnvoyMetricsPath;
}

const char* name(Method method) {
  return method == Method::post ? "POST" : "GET, HEAD";
}

Response not_found() {
  std::string paths;
  for (const Route& route : kRoutes) {
    if (route.access == Access::anyone)
      paths += (paths.empty() ? "" : ", ") + std::string(route.path);
  }
  return refuse(404, "no such path; everyone may ask for " + paths);
}

}  // namespace

const std::function<void(std::function<void()> then)>* wait_before(const Handlers& handlers,
                                                                   const Request& request,
                                                                   const Client& client) {
  if (handlers.before_metrics && is_metrics(handlers, request)) return &handlers.before_metrics;
  if (!client.over_socket) return nullptr;
  if (handlers.before_status && request.path == kStatusPath) return &handlers.before_status;
  const bool is_canary =
      request.path == kCanaryPath && request.method == Method::post && client.is_privileged;
  return handlers.before_canary && is_canary ? &handlers.before_canary : nullptr;
}

Response answer(const Handlers& handlers, const Request& request, const Client& client) {
  const Method method = request.method == Method::head ? Method::get : request.method;
  if (method == Method::get && is_metrics(handlers, request)) return get_metrics(handlers, request);
  for (const Route& route : kRoutes) {
    if (route.path != request.path || !is_open_to(route.access, client)) continue;
    if (route.method != method) {
      Response wrong = refuse(405, "this path takes " + std::string(name(route.method)));
      wrong.headers.push_back({"Allow", name(route.method)});
      return wrong;
    }
    if (route.access == Access::privileged && !client.is_privileged) {
      return refuse(403, "only root and the agent's own user may do this");
    }
    return route.handle(handlers, request);
  }
  return not_found();
}

}  // namespace mooring::admin
