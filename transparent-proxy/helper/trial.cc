// Capture on trial: it ends by itself unless somebody who came in after it says that the host can
// still be reached.
#include <fmt/chrono.h>
#include <fmt/format.h>

#include "core/log.h"
#include "transparent-proxy/helper/control.h"

namespace mooring::transparent_proxy {

// What capture.toml lets the agent capture by itself is root's word as well.
bool CaptureControl::is_confirmed_already(const InterceptConfig& config) const {
  return !trial_ && !is_held_off_ && state_ == CaptureState::active && active_ &&
         check_narrower(config, *active_).has_value();
}

Checked<std::chrono::seconds> CaptureControl::try_plan(const InterceptConfig& config,
                                                       std::chrono::seconds limit) {
  if (is_confirmed_already(config))
    return set_plan(config).map([] { return std::chrono::seconds{0}; });
  if (!is_agent_present_) {
    return fail(
        Diagnostic{"capture",
                   "no agent is connected: start mooringd first, nothing is captured without it",
                   ""});
  }
  Trial trial{trial_ ? trial_->before : SavedState{active_, set_by_root_, is_held_off_},
              limit,
              env_.clock.mono() + limit,
              env_.clock.wall() + limit};
  // Without a plan to go back to it stays off, whatever the agent wants.
  if (!trial.before.active && !trial.before.set_by_root) trial.before.is_held_off = true;
  if (auto done = env_.save_trial(fmt::format("{}\n", limit.count())); !done)
    return fail(done.error());
  has_trial_mark_ = true;
  const std::optional<Trial> earlier = std::exchange(trial_, trial);
  save();
  budget_.reset();
  if (auto done = capture(config); !done) {
    trial_ = earlier;
    if (!earlier) end_trial();
    save();
    return fail(done.error());
  }
  is_held_off_ = false;
  set_by_root_ = config;
  log::warn("capture: on trial, ends in {} s unless it is confirmed", limit.count());
  return limit;
}

Checked<void> CaptureControl::confirm() {
  if (!trial_) {
    return fail(
        Diagnostic{"capture", "nothing waits for a confirmation", "see `mooring capture status`"});
  }
  trial_.reset();
  save();
  end_trial();
  log::info("capture: confirmed");
  return {};
}

void CaptureControl::end_trial() {
  trial_.reset();
  if (!has_trial_mark_) return;
  if (auto done = env_.save_trial(""); !done) {
    log::error("capture: {}", describe(done.error()));
  } else {
    has_trial_mark_ = false;
  }
}

// To what was captured before, which is also what the state file has had all the time.
void CaptureControl::roll_back(const std::string& why) {
  if (trial_) {
    set_by_root_ = trial_->before.set_by_root;
    is_held_off_ = trial_->before.is_held_off;
    active_ = trial_->before.active;
    plan_.reset();
    trial_.reset();
    save();
  }
  log::error("capture: rolled back reason=\"{}\"", why);
  grace_end_.reset();
  budget_.reset();
  problem_ = why;
  if (active_ && is_agent_present_ && capture(InterceptConfig(*active_))) return;
  if (active_) {
    if (auto before = plan(*active_, env_.facts())) plan_ = std::move(*before);
  }
  become(is_held_off_ ? CaptureState::held_off
         : plan_      ? CaptureState::agent_dead
                      : CaptureState::off);
  must_release_ = true;
  try_release();
}

std::string CaptureControl::describe_trial() const {
  if (!trial_) return {};
  return fmt::format(
      "capture is not confirmed: it ends at {:%H:%M:%S} UTC unless \"mooring capture confirm\" "
      "comes from a new login",
      std::chrono::floor<std::chrono::seconds>(trial_->wall_end));
}

}  // namespace mooring::transparent_proxy
