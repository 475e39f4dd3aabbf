// MeshMetric's Prometheus backends: this host's metrics, and those of the applications that the
// control plane names, at the address that its listener says. Control thread.
#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "core/address.h"
#include "core/clock.h"
#include "core/loop.h"
#include "core/result.h"
#include "discovery/decode.h"
#include "net/stream.h"
#include "observe/prometheus.h"
#include "snapshot/resources.h"
#include "tls/session.h"

namespace mooring::app {

/// "/meshmetric" of the control plane's own configuration.
struct MeshMetricsConfig {
  struct Application {
    std::string name;
    std::string path;
    std::uint16_t port = 0;
    std::optional<IpAddress> address;  // none: where the Dataplane says that it listens

    friend bool operator==(const Application&, const Application&) = default;
  };
  std::vector<Application> applications;
  observe::PrometheusOptions own;  // of this host's metrics; the labels are the applications' too
};

inline constexpr std::size_t kMaxMetricsApplications = 16;

/// Fails for what is not of that form.
[[nodiscard]] Checked<MeshMetricsConfig> parse_mesh_metrics(std::string_view json);

/// Appends an application's page (text exposition format) to `out`, each sample with `labels` that
/// it does not have yet. TYPE and HELP of a metric stay once. False, and `out` as it was, where it
/// would have more than `max_bytes`.
[[nodiscard]] bool add_page(std::string& out,
                            std::string_view page,
                            const std::vector<std::pair<std::string, std::string>>& labels,
                            std::set<std::string>& described,
                            std::size_t max_bytes);

class MeshMetrics {
 public:
  static constexpr std::size_t kMaxPageBytes = std::size_t{4} * 1024 * 1024;  // of an application
  static constexpr std::size_t kMaxAllBytes = std::size_t{32} * 1024 * 1024;
  static constexpr Milliseconds kPatience{3000};  // with all applications together

  struct Sources {
    /// This host's page.
    std::function<std::string(const observe::PrometheusOptions&)> own;
    /// Where the application behind this port of the host listens.
    std::function<SocketAddress(std::uint16_t port)> application;
  };

  MeshMetrics(Loop& loop, net::StreamPool& pool, Sources sources);
  ~MeshMetrics();
  MeshMetrics(const MeshMetrics&) = delete;
  MeshMetrics& operator=(const MeshMetrics&) = delete;

  /// What cannot be read is logged, and what was before stays.
  void set_config(const std::string& body);
  /// Opens its socket, or takes its newest TLS into use. What cannot be had is logged, and tried
  /// again with the next call.
  void serve(const discovery::SystemListener& listener, const snapshot::Resources& resources);
  /// Closes the others.
  void keep(const std::set<std::string>& listeners);

 private:
  class Endpoint;

  Loop& loop_;
  net::StreamPool& pool_;
  Sources sources_;
  Clock clock_;
  tls::Scratch scratch_;
  std::string body_;  // that config_ was read from
  MeshMetricsConfig config_;
  std::map<std::string, std::unique_ptr<Endpoint>> endpoints_;  // by listener
};

}  // namespace mooring::app
