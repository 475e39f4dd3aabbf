// The source of resources that is a control plane: who this host is to it, its xDS client, and what
// it gives beside listeners and clusters. Control thread.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "admin/server.h"
#include "admin/tls_front.h"
#include "app/dataplane.h"
#include "app/mesh_dns.h"
#include "app/mesh_metrics.h"
#include "app/state.h"
#include "config/model.h"
#include "core/clock.h"
#include "core/loop.h"
#include "discovery/xds_client.h"
#include "net/stream.h"
#include "snapshot/build.h"
#include "tls/session.h"

namespace mooring::app {

class ControlPlane final : private discovery::XdsClient::Owner {
 public:
  struct Effects {
    /// resources() are others; of which kinds.
    std::function<void(const discovery::Changes& changes)> on_resources;
    std::function<void()> on_state;  // state() is another
    /// This host's metrics, as Prometheus reads them.
    std::function<std::string(const observe::PrometheusOptions&)> metrics;
  };

  /// `services` are of this host, for a Dataplane without a file. `server` outlives it, and serves
  /// the control plane's questions.
  ControlPlane(Loop& loop,
               const config::ControlPlane& config,
               const std::vector<config::Service>& services,
               admin::Server& server,
               Effects effects);
  ~ControlPlane();
  ControlPlane(const ControlPlane&) = delete;
  ControlPlane& operator=(const ControlPlane&) = delete;

  /// Last good resources, then the control plane's. Where `is_settled` is false, after
  /// settle(), or two seconds. Fails at once for a Dataplane file or a token's place that cannot be
  /// right.
  [[nodiscard]] Checked<void> start(const Redirection& redirection, bool is_settled);
  /// What is redirected is known: nothing has to be told twice.
  void settle();
  /// Ends the stream in order, so that the control plane forgets this host.
  void stop();
  /// Another one is told to the control plane by a new stream.
  void set_redirection(const Redirection& redirection);

  /// Empty before anything was received or found on disk.
  [[nodiscard]] const snapshot::Resources& resources() const noexcept;
  /// Those of these names, as they are now.
  [[nodiscard]] std::vector<snapshot::EndpointsChange> endpoints(
      const std::set<std::string>& names) const;
  [[nodiscard]] ControlPlaneState state() const;
  [[nodiscard]] bool is_live() const noexcept;
  /// Where names of the mesh are answered; 0: nowhere yet.
  [[nodiscard]] std::uint16_t dns_port() const noexcept { return dns_.port(); }
  /// Why names of the mesh are not answered; empty where nothing is known of that.
  [[nodiscard]] const std::string& dns_problem() const noexcept { return dns_.problem(); }

 private:
  // discovery::XdsClient::Owner
  void on_resources(const discovery::Store& store, const discovery::Changes& changes) override;
  void on_state(const discovery::XdsState& state) override;

  [[nodiscard]] Checked<Dataplane> dataplane() const;
  [[nodiscard]] Checked<discovery::BootstrapRequest> identity(const Redirection& redirection);
  [[nodiscard]] discovery::XdsOptions options(discovery::BootstrapRequest identity) const;
  void connect();
  void note_update(const discovery::Changes& changes);
  void serve_system(const discovery::SystemListener& listener,
                    const snapshot::Resources& resources);
  void serve_admin(const discovery::SystemListener& listener, const snapshot::Resources& resources);
  void serve_dynamic(const discovery::SystemListener& listener);
  void serve_names(const std::string& body);
  [[nodiscard]] SocketAddress application(std::uint16_t port) const;

  Loop& loop_;
  const config::ControlPlane config_;
  const std::vector<config::Service> services_;
  admin::Server& server_;
  Effects effects_;
  Clock clock_;
  net::StreamPool pool_;
  tls::Scratch scratch_;
  Redirection redirection_;
  std::string token_file_;
  std::optional<Dataplane> told_;  // to the control plane
  std::string problem_;            // why there is no client yet
  bool is_waiting_ = false;        // for settle()
  std::unique_ptr<discovery::XdsClient> client_;
  MeshDns dns_;
  MeshMetrics metrics_;
  std::string served_names_;                                 // the body that dns_ has
  std::optional<discovery::SystemListener> admin_listener_;  // that admin_front_ is of
  std::unique_ptr<admin::TlsFront> admin_front_;
  std::map<discovery::ResourceKind, std::set<std::string>> known_;  // names that are served
  std::map<discovery::ResourceKind, std::uint64_t> accepted_;       // updates of resources
  std::optional<LastUpdate> last_update_;
  Timer retry_;
};

}  // namespace mooring::app
