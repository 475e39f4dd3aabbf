// Capture as the agent sees it: where the captured sockets come from, and what mooring-net is asked
// to capture. Control thread; blocks in start() only.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "app/intercept.h"
#include "app/sockets.h"
#include "app/state.h"
#include "capture_client/capture_client.h"
#include "capture_client/helper_query.h"
#include "config/model.h"
#include "core/loop.h"
#include "snapshot/from_config.h"

namespace mooring::app {

class CaptureControl {
 public:
  struct Effects {
    std::function<void(WorkerSockets)> add_sockets;  // to the workers
    std::function<void()> on_change;                 // problem() or has_sockets() may be others
    /// A control plane's resources, which say what to capture; null: the configuration does.
    std::function<const snapshot::Resources*()> resources = {};
    /// Where names of the mesh are answered, on both loopback addresses; 0: nowhere.
    std::function<std::uint16_t()> dns_port = {};
  };
  CaptureControl(Loop& loop, SocketNeeds needs, Effects effects);

  /// At start, once workers take sockets: from mooring-net, or, when nothing is to be captured by
  /// it, our own. Where mooring-net is missing it is looked for each second. Fails when a port is
  /// taken. Blocking.
  [[nodiscard]] Checked<void> start(const config::AgentConfig& config,
                                    const snapshot::ResolvedNames& names);
  /// Opens what a new configuration would need beyond what there is, and nothing else changes.
  [[nodiscard]] Checked<void> check(const config::AgentConfig& next);
  /// After a reload, or when names resolve to something else.
  [[nodiscard]] Checked<void> apply(const config::AgentConfig& config,
                                    const snapshot::ResolvedNames& names);
  void drop(std::function<void()> on_done);

  /// Asks mooring-net for its status; `then` runs from the loop, within a second whatever it does.
  void refresh(std::function<void()> then);
  /// As of the last refresh().
  [[nodiscard]] CaptureState state() const;

  /// Rules lead connections here: what the configuration wants, or root's plan where it wants none.
  [[nodiscard]] bool is_active() const noexcept;
  /// The captured sockets that the configuration needs are there.
  [[nodiscard]] bool has_sockets() const noexcept { return client_ || !config_.capture.enabled; }
  /// mooring-net has told its state, or there is no need of it.
  [[nodiscard]] bool is_settled() const noexcept;
  /// Queries to the host's resolvers go to the agent, or will once it has names.
  [[nodiscard]] bool redirects_dns() const noexcept;
  /// Why what the configuration wants is not captured; empty when it is.
  [[nodiscard]] std::string problem() const;
  /// Rules that mooring-net had to repair, since its start.
  [[nodiscard]] std::uint32_t repairs() const noexcept;

 private:
  void look_for_helper();
  void on_found(Checked<capture_client::HelperQuery::Answer> answer);
  void on_missing(const Diagnostic& why);
  [[nodiscard]] Checked<void> open_own(const config::AgentConfig& config);
  void connect();
  [[nodiscard]] Checked<Interception> interception() const;
  void want();
  void on_event(const capture_client::CaptureEvent& event);
  void on_status(Checked<capture_client::HelperQuery::Answer> answer);
  void answer_waiting();

  Loop& loop_;
  SocketNeeds needs_;
  Effects effects_;
  config::AgentConfig config_;
  snapshot::ResolvedNames names_;
  std::optional<capture_client::InterceptConfig> wanted_;
  std::unique_ptr<capture_client::CaptureClient> client_;  // once the sockets are there
  std::string problem_;
  std::string last_miss_;  // said once
  bool has_outbound_ = false;
  bool has_inbound_ = false;
  std::optional<capture_client::HelperQuery> look_;  // while there is no client_
  unsigned looks_ = 0;
  std::optional<capture_client::HelperQuery> status_query_;
  std::optional<Checked<capture_client::Status>> status_;
  std::vector<std::function<void()>> waiting_;  // for status_query_
  Timer look_timer_;
  Timer answer_timer_;
};

}  // namespace mooring::app
