// Capture as the agent sees it: where the captured sockets come from, and what mooring-net is asked
// to capture. Control thread.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "app/sockets.h"
#include "capture_client/capture_client.h"
#include "config/model.h"
#include "core/loop.h"
#include "snapshot/from_config.h"

namespace mooring::app {

class CaptureControl {
 public:
  /// `add_sockets` gives captured sockets to the workers.
  CaptureControl(Loop& loop, SocketNeeds needs, std::function<void(WorkerSockets)> add_sockets);

  /// At start, once workers take sockets: from mooring-net, or, when nothing is to be captured by
  /// it, our own. Fails when a port is taken. Blocking.
  [[nodiscard]] Checked<void> start(const config::AgentConfig& config,
                                    const snapshot::ResolvedNames& names);
  /// Opens what a new configuration would need beyond what there is, and nothing else changes.
  [[nodiscard]] Checked<void> check(const config::AgentConfig& next);
  /// After a reload, or when names resolve to something else.
  [[nodiscard]] Checked<void> apply(const config::AgentConfig& config,
                                    const snapshot::ResolvedNames& names);
  void drop(std::function<void()> on_done);

  [[nodiscard]] bool is_active() const noexcept { return client_ && client_->is_active(); }
  /// The captured sockets that the configuration needs are there.
  [[nodiscard]] bool has_sockets() const noexcept { return !retry_wanted_; }
  /// Why what the configuration wants is not captured; empty when it is.
  [[nodiscard]] std::string problem() const;
  /// What is captured now, as far as the configuration asks for it.
  [[nodiscard]] std::size_t outbound() const noexcept {
    return wanted_ ? wanted_->outbound.size() : 0;
  }
  [[nodiscard]] std::size_t inbound() const noexcept {
    return wanted_ ? wanted_->inbound.size() : 0;
  }

 private:
  void try_helper();
  [[nodiscard]] Checked<void> open_own(const config::AgentConfig& config);
  void connect();
  void want();
  void on_event(const capture_client::CaptureEvent& event);

  Loop& loop_;
  SocketNeeds needs_;
  std::function<void(WorkerSockets)> add_sockets_;
  config::AgentConfig config_;
  snapshot::ResolvedNames names_;
  std::optional<capture_client::InterceptConfig> wanted_;
  std::unique_ptr<capture_client::CaptureClient> client_;
  std::string problem_;
  bool retry_wanted_ = false;
  bool has_own_outbound_ = false;
  bool has_own_inbound_ = false;
  Timer retry_;
};

}  // namespace mooring::app
