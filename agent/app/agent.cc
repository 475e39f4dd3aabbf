#include "app/agent.h"

#include <unistd.h>

#include <algorithm>
#include <utility>

#include "app/process.h"
#include "core/log.h"
#include "core/memory.h"
#include "core/sd_notify.h"

namespace mooring::app {

namespace {

// Beyond timeouts.drain, for workers to end what is still open.
constexpr Milliseconds kGrace{500};
// What else the end takes at most: mooring-net has two seconds to answer, the programs have to
// stop.
constexpr Milliseconds kBesidesDrain{10000};
// After it, what only the start needed is given back.
constexpr Milliseconds kSettledAfter{10000};

}  // namespace

Agent::Agent(const std::string& config_file, config::AgentConfig config)
    : config_(std::move(config)),
      started_(Clock().wall()),
      stats_(worker_count(config_.limits)),
      identity_(loop_, [this] { on_inputs_changed(); }),
      names_(loop_, [this] { on_inputs_changed(); }),
      canary_(loop_),
      rebind_(loop_, [this] { rebind(); }),
      stop_deadline_(loop_, [this] { loop_.stop(); }),
      settled_(loop_, [] { release_start_memory(); }) {
  config_state_.path = config_file;
  config_state_.loaded_at = started_;
}

Agent::~Agent() {
  capture_.reset();
  control_plane_.reset();
  watchdog_.reset();
  if (workers_) workers_->stop();
  server_.reset();
  if (owns_admin_socket_) ::unlink(config_.admin.socket.c_str());
}

void Agent::run() {
  for (const std::string& warning : config_.warnings)
    log::warn("{}", warning);
  log::info("mooringd {} serves with {} workers", MOORING_VERSION, stats_.workers());
  watchdog_ = std::make_unique<Watchdog>(loop_, *workers_, [] { sd_notify("WATCHDOG=1"); });
  if (const Milliseconds limit = sd_watchdog_interval(); limit.count() > 0) watchdog_->start(limit);
  if (is_stopping_) return;
  workers_->ping([this] { on_serving(); });
  loop_.run();
  log::info("mooringd ends");
}

// Ready without mooring-net too: an agent that is only waiting for it must not make the boot wait,
// nor be started again and again. The status line and /ready say what is missing.
void Agent::on_serving() {
  is_serving_ = true;
  settled_.start(kSettledAfter);
  sd_notify("READY=1");
  tell_status();
}

void Agent::tell_status() {
  if (!is_serving_ || is_stopping_) return;
  const admin::Readiness state = readiness();
  std::string text = state.ready ? "serving" : state.reason;
  if (const std::string problem = capture_->problem(); state.ready && !problem.empty())
    text += "; capture: " + problem;
  std::replace(text.begin(), text.end(), '\n', ' ');
  if (std::exchange(told_status_, text) != text) sd_notify("STATUS=" + text);
}

admin::Readiness Agent::readiness() const {
  if (is_stopping_ || is_draining_) return {false, "draining"};
  if (!snapshot_ || !capture_ || !is_serving_) return {false, "starting"};
  if (control_plane_ && control_plane_->resources().listeners.empty())
    return {false, "nothing has come from the control plane yet"};
  if (!capture_->has_sockets()) return {false, "nothing is captured: " + capture_->problem()};
  return {true, ""};
}

snapshot::Resources Agent::static_resources(const config::AgentConfig& config) const {
  snapshot::Resources resources = snapshot::resources_from(config, names_.names());
  resources.secrets = identity_.secrets();
  return resources;
}

void Agent::publish() {
  if (control_plane_) return publish(control_plane_->resources());
  publish(static_resources(config_));
}

void Agent::publish(const snapshot::Resources& resources) {
  snapshot::Built built = snapshot::build(resources, snapshot_.get(), names_.names());
  for (const snapshot::Rejected& rejected : built.rejected) {
    log::error("{} is not used: {}: {}", rejected.resource, rejected.field, rejected.reason);
  }
  rejected_ = std::move(built.rejected);
  use(std::move(built.snapshot));
}

void Agent::use(snapshot::SnapshotPtr snapshot) {
  snapshot_ = std::move(snapshot);
  workers_->use(snapshot_);
}

void Agent::apply_capture() {
  if (auto applied = capture_->apply(config_, names_.names()); !applied)
    log::error("{}", describe(applied.error()));
}

void Agent::on_inputs_changed() {
  if (!workers_ || is_stopping_) return;
  publish();
  apply_capture();
}

void Agent::stop() {
  // The second time, or while it starts: at once.
  if (std::exchange(is_stopping_, true) || !is_serving_) return loop_.stop();
  log::info("ending; open connections have {} ms", config_.timeouts.drain.count());
  // sd_notify(3): for as long systemd waits, where its unit would end us earlier.
  const auto end_within = std::chrono::microseconds(config_.timeouts.drain + kBesidesDrain).count();
  sd_notify("STOPPING=1\nSTATUS=ending\nEXTEND_TIMEOUT_USEC=" + std::to_string(end_within));
  // New connections go elsewhere before the listeners refuse them.
  if (control_plane_) control_plane_->stop();
  capture_->drop([this] {
    stop_deadline_.start(config_.timeouts.drain + kGrace);
    workers_->drain(config_.timeouts.drain, [this] { loop_.stop(); });
  });
}

void Agent::drain() {
  if (!capture_ || is_stopping_ || std::exchange(is_draining_, true)) return;
  log::info("draining; open connections have {} ms", config_.timeouts.drain.count());
  tell_status();
  workers_->drain(config_.timeouts.drain, [] { log::info("drained"); });
}

}  // namespace mooring::app
