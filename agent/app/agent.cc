#include "app/agent.h"

#include <unistd.h>

#include <utility>

#include "app/process.h"
#include "core/log.h"
#include "core/sd_notify.h"

namespace mooring::app {

namespace {

// Beyond timeouts.drain, for workers to end what is still open.
constexpr Milliseconds kGrace{500};

}  // namespace

Agent::Agent(const std::string& config_file, config::AgentConfig config)
    : config_(std::move(config)),
      started_(Clock().wall()),
      stats_(worker_count(config_.limits)),
      identity_(loop_, [this] { on_inputs_changed(); }),
      names_(loop_, [this] { on_inputs_changed(); }),
      watchdog_(loop_, [] { sd_notify("WATCHDOG=1"); }),
      stop_deadline_(loop_, [this] { loop_.stop(); }) {
  config_state_.path = config_file;
  config_state_.loaded_at = started_;
}

Agent::~Agent() {
  capture_.reset();
  if (workers_) workers_->stop();
  server_.reset();
  if (owns_admin_socket_) ::unlink(config_.admin.socket.c_str());
}

void Agent::run() {
  for (const std::string& warning : config_.warnings)
    log::warn("{}", warning);
  log::info("mooringd {} serves with {} workers", MOORING_VERSION, stats_.workers());
  sd_notify("READY=1\nSTATUS=serving");
  if (const Milliseconds interval = sd_watchdog_interval(); interval.count() > 0) {
    watchdog_.start(interval / 2, interval / 2);
  }
  loop_.run();
  log::info("mooringd ends");
}

admin::Readiness Agent::readiness() const {
  if (is_stopping_ || is_draining_) return {false, "draining"};
  if (!snapshot_ || !capture_) return {false, "starting"};
  if (!capture_->has_sockets()) return {false, "nothing is captured: " + capture_->problem()};
  return {true, ""};
}

void Agent::publish() {
  snapshot::Built built = snapshot::build(
      snapshot::resources_from(config_, names_.names()), identity_.material(), snapshot_.get());
  for (const snapshot::Rejected& rejected : built.rejected) {
    log::error("{} is not used: {}: {}", rejected.resource, rejected.field, rejected.reason);
  }
  snapshot_ = std::move(built.snapshot);
  rejected_ = std::move(built.rejected);
  workers_->use(snapshot_);
}

void Agent::on_inputs_changed() {
  if (!workers_ || is_stopping_) return;
  publish();
  if (auto applied = capture_->apply(config_, names_.names()); !applied)
    log::error("{}", describe(applied.error()));
}

void Agent::stop() {
  if (std::exchange(is_stopping_, true)) return loop_.stop();  // the second time: at once
  log::info("ending; open connections have {} ms", config_.timeouts.drain.count());
  sd_notify("STOPPING=1");
  // New connections go elsewhere before the listeners refuse them.
  capture_->drop([this] {
    stop_deadline_.start(config_.timeouts.drain + kGrace);
    workers_->drain(config_.timeouts.drain, [this] { loop_.stop(); });
  });
}

void Agent::drain() {
  if (std::exchange(is_draining_, true) || is_stopping_) return;
  log::info("draining; open connections have {} ms", config_.timeouts.drain.count());
  workers_->drain(config_.timeouts.drain, [] { log::info("drained"); });
}

}  // namespace mooring::app
