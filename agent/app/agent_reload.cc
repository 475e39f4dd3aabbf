// Taking a new configuration into use, or refusing it as a whole.
#include <fmt/format.h>

#include <chrono>
#include <utility>

#include "app/agent.h"
#include "app/reload.h"
#include "config/load.h"
#include "core/log.h"
#include "core/sd_notify.h"

namespace mooring::app {

void Agent::hang_up() {
  log::reopen();
  access_log_->reopen();
  (void)reload();
}

Agent::Reloaded Agent::reload() {
  if (is_stopping_) return {{{config_state_.path, "the agent is ending", ""}}, {}};
  if (!capture_) return {{{config_state_.path, "the agent is starting", "try again"}}, {}};
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  sd_notify(fmt::format("RELOADING=1\nMONOTONIC_USEC={}",
                        std::chrono::duration_cast<std::chrono::microseconds>(now).count()));
  Reloaded result;
  auto loaded = config::load(config_state_.path);
  if (loaded) {
    result.warnings = needs_restart(config_, *loaded);
    result.warnings.insert(result.warnings.end(), loaded->warnings.begin(), loaded->warnings.end());
    result.problems = apply(std::move(*loaded));
  } else {
    result.problems = std::move(loaded.error());
  }
  config_state_.last_error = lines(result.problems);
  if (result.problems.empty()) {
    ++config_state_.reloads;
    ++config_state_.generation;
    config_state_.loaded_at = Clock().wall();
    for (const std::string& warning : result.warnings)
      log::warn("{}", warning);
    log::info("configuration {} is in use", config_state_.generation);
  } else {
    ++config_state_.failures;
    for (const Diagnostic& problem : result.problems)
      log::error("configuration refused: {}", describe(problem));
  }
  sd_notify("READY=1");
  tell_status();
  return result;
}

std::vector<Diagnostic> Agent::apply(config::AgentConfig next) {
  if (auto problem = cannot_follow(config_, next)) return {std::move(*problem)};
  const bool has_other_files = identity_files(next) != identity_files(config_);
  if (has_other_files) {
    if (std::vector<Diagnostic> problems = check_files(next); !problems.empty()) return problems;
  }
  const BoundAddresses wanted = bound_addresses(static_resources(next));
  const BoundChange change = control_plane_ ? BoundChange{} : bound_change(bound_, wanted);
  auto opened = open_bound(change.to_open, {stats_.workers(), keepalive_of(config_)});
  if (!opened) return {opened.error()};
  // The only other step that can fail; what it added serves whatever the snapshot says.
  if (auto applied = capture_->check(next); !applied) return {applied.error()};

  if (next.logging.level != config_.logging.level) log::set_level(next.logging.level);
  keep_until_restart(config_, next);
  config_ = std::move(next);
  if (has_other_files) identity_.set_files(identity_files(config_));
  names_.set_names(snapshot::host_names(config_));
  publish();
  for (const std::string& listener : change.to_close)
    workers_->remove(listener);
  workers_->add(std::move(*opened));
  if (!control_plane_) bound_ = wanted;
  apply_capture();
  return {};
}

}  // namespace mooring::app
