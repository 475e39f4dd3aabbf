// What the admin API answers: a table of routes over handlers that the composition root fills in,
// so that this module knows nothing of the data path. No socket here; control thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "core/log.h"
#include "http/message.h"

namespace mooring::admin {

struct Readiness {
  bool ready = false;
  std::string reason;  // why not
};

/// Envoy writes lines of text where it is not asked for `format=json`.
enum class TextForm : std::uint8_t { lines, json };

/// One function per source of facts or effect. An empty one answers 501. Texts of the first group
/// are whole bodies.
struct Handlers {
  std::function<Readiness()> ready{};
  std::function<std::string()> metrics{};  // Prometheus text
  std::string metrics_path{};              // where it is to be had as well; empty: nowhere
  /// The same as before_status, for `metrics`.
  std::function<void(std::function<void()> then)> before_metrics{};
  std::function<std::string()> config_dump{};  // JSON, without secrets
  std::function<std::string()> clusters{};     // JSON
  std::function<std::string()> status{};       // JSON object, as `mooring status` reads it
  /// Asks others for what `status` tells, without blocking the loop; calls `then` once, at once or
  /// later. Empty: there is nobody to ask.
  std::function<void(std::function<void()> then)> before_status{};
  /// Tries the upstreams and services; `canary` tells the outcome.
  std::function<void(std::function<void()> then)> before_canary{};
  // The same for a control plane, in Envoy's forms.
  std::function<std::string()> envoy_config_dump{};
  std::function<std::string(TextForm form)> envoy_clusters{};
  std::function<std::string(TextForm form)> envoy_stats{};
  std::function<std::string(std::size_t limit)> why{};  // JSON array, newest first
  std::function<std::string(std::size_t limit)> why_text{};
  // Effects; they answer with json_response() or refuse().
  std::function<http::Response()> drain{};
  std::function<http::Response()> reload{};
  std::function<http::Response()> canary{};
  std::function<http::Response(log::Level)> set_log_level{};
};

/// Who asks.
struct Client {
  bool over_socket = false;       // the unix socket; else the metrics address
  bool is_privileged = false;     // root or the agent's own user
  bool is_control_plane = false;  // known by its certificate
};

[[nodiscard]] http::Response json_response(std::string body, int status = 200);
/// {"error": message}
[[nodiscard]] http::Response refuse(int status, std::string_view message);

/// What the answer to this request has to wait for; null: nothing.
[[nodiscard]] const std::function<void(std::function<void()> then)>* wait_before(
    const Handlers& handlers, const http::Request& request, const Client& client);

[[nodiscard]] http::Response answer(const Handlers& handlers,
                                    const http::Request& request,
                                    const Client& client);

}  // namespace mooring::admin
