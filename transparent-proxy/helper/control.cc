#include "transparent-proxy/helper/control.h"

#include <utility>

#include <fmt/format.h>

#include "core/log.h"

namespace mooring::transparent_proxy {

namespace {

// An agent reconnects within a second (capture_client.cc).
constexpr std::chrono::seconds kGrace{2};
constexpr std::chrono::seconds kRetry{1};

tl::unexpected<Diagnostic> refuse(const std::string& message) {
  return fail(Diagnostic{"capture", message, ""});
}

std::uint64_t unix_seconds(std::chrono::system_clock::time_point at) {
  return static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::seconds>(at.time_since_epoch()).count());
}

}  // namespace

bool RepairBudget::admit(MonoTime now) {
  while (!recent_.empty() && now - recent_.front() >= kWindow)
    recent_.pop_front();
  if (recent_.size() >= kRepairs) return false;
  recent_.push_back(now);
  return true;
}

CaptureControl::CaptureControl(Environment environment, SavedState saved)
    : env_(std::move(environment)),
      active_(std::move(saved.active)),
      set_by_root_(std::move(saved.set_by_root)),
      is_held_off_(saved.is_held_off),
      has_trial_mark_(saved.was_on_trial),
      since_(env_.clock.wall()) {}

void CaptureControl::start() {
  if (is_held_off_) become(CaptureState::held_off);
  if (active_) {
    const auto made = plan(*active_, env_.facts());
    if (made) {
      plan_ = *made;
    } else {
      active_.reset();
      problem_ = describe(made.error());
      log::error("capture: the saved plan is not valid any more: {}", problem_);
    }
  }
  if (has_trial_mark_) return roll_back("mooring-net ended before capture was confirmed");
  if (env_.rules.has_inherited_capture()) {
    grace_end_ = env_.clock.mono() + kGrace;
    if (active_) become(CaptureState::agent_dead);
    return;
  }
  if (active_ && !is_held_off_) {
    become(CaptureState::agent_dead);
    must_release_ = true;
    try_release();
  } else {
    env_.rules.tidy();
  }
}

Checked<void> CaptureControl::capture(const InterceptConfig& config) {
  HostFacts facts = env_.facts();
  auto made = plan(config, facts);
  if (!made) return fail(made.error());
  if (!made->captures_anything()) return capture_nothing();
  if (auto done = env_.rules.capture(*made); !done) {
    problem_ = describe(done.error());
    log::error("capture: the rules cannot be applied: {}", problem_);
    return done;
  }
  for (const std::string& note : made->notes)
    log::warn("capture: {}", note);
  const RulesView view = env_.rules.view();
  log::info("capture: active table={} backend=\"{}\" owned={} outbound={} inbound={}",
            view.table,
            view.backend,
            view.is_owned,
            config.outbound.size(),
            config.inbound.size());
  if (!made->redirects_dns()) forget_queries();
  active_ = config;
  plan_ = std::move(*made);
  name_servers_ = std::move(facts.name_servers);
  grace_end_.reset();
  must_release_ = false;
  become(CaptureState::active);
  if (!trial_) end_trial();
  save();
  return {};
}

Checked<void> CaptureControl::capture_nothing() {
  if (auto done = env_.rules.clear(); !done) {
    problem_ = describe(done.error());
    return done;
  }
  forget_queries();
  active_.reset();
  plan_.reset();
  grace_end_.reset();
  must_release_ = false;
  become(CaptureState::off);
  save();
  return {};
}

Checked<void> CaptureControl::set_plan(const InterceptConfig& config) {
  if (!is_agent_present_)
    return refuse("no agent is connected: start mooringd first, nothing is captured without it");
  budget_.reset();
  auto done = capture(config);
  if (!done) return done;
  end_trial();
  is_held_off_ = false;
  set_by_root_ = config;
  save();
  return {};
}

Checked<void> CaptureControl::activate(const InterceptConfig& config) {
  if (is_held_off_)
    return refuse("root switched capture off; \"mooring capture on\" switches it on again");
  const auto bounds = env_.bounds();
  if (!bounds) return fail(bounds.error());
  may_redirect_dns_ = allows_dns(*bounds, set_by_root_ ? &*set_by_root_ : nullptr);
  if (auto ok = check_allowed(config, *bounds, set_by_root_ ? &*set_by_root_ : nullptr); !ok)
    return ok;
  budget_.reset();
  return capture(config);
}

Checked<void> CaptureControl::narrow(const InterceptConfig& config) {
  if (state_ != CaptureState::active || !active_) return refuse("nothing is captured");
  if (auto ok = check_narrower(config, *active_); !ok) return ok;
  return capture(config);
}

Checked<void> CaptureControl::drop(Caller caller) {
  grace_end_.reset();
  if (caller == Caller::agent) {
    if (state_ == CaptureState::active) release("the agent stopped", CaptureState::agent_dead);
    return {};
  }
  if (auto done = capture_nothing(); !done) {
    log::error("capture: the rules cannot be removed: {}", problem_);
    return done;
  }
  log::info("capture: switched off by root");
  end_trial();
  set_by_root_.reset();
  is_held_off_ = true;
  become(CaptureState::held_off);
  save();
  return {};
}

void CaptureControl::learn_whether_dns_is_allowed() {
  const auto bounds = env_.bounds();
  may_redirect_dns_ = bounds && allows_dns(*bounds, set_by_root_ ? &*set_by_root_ : nullptr);
}

void CaptureControl::on_agent_present() {
  is_agent_present_ = true;
  learn_whether_dns_is_allowed();
  if (is_held_off_ || state_ == CaptureState::active || !set_by_root_) return;
  if (auto done = capture(InterceptConfig(*set_by_root_)); !done) {
    log::error("capture: not active although the agent is there: {}", describe(done.error()));
  }
}

void CaptureControl::on_agent_recovered() {
  is_agent_present_ = true;
  if (state_ != CaptureState::agent_dead || !active_) return;
  log::info("capture: the agent answers again");
  if (auto done = capture(InterceptConfig(*active_)); !done) {
    log::error("capture: not active although the agent is there: {}", describe(done.error()));
  }
}

void CaptureControl::on_agent_gone(const std::string& why) {
  is_agent_present_ = false;
  if (state_ == CaptureState::active) release(why, CaptureState::agent_dead);
}

// The agent is gone, so what is open opens and what is closed is refused by the guard.
void CaptureControl::release(const std::string& why, CaptureState next) {
  problem_ = why;
  become(next);
  if (plan_ && plan_->opens_anything()) {
    ++openings_;
    log::error(
        "capture: opened, traffic passes without the mesh reason=\"{}\" outbound={} "
        "inbound_ports={}",
        why,
        plan_->opens_outbound(),
        fmt::join(plan_->inbound_open, ","));
  }
  if (plan_ && plan_->guards_anything()) {
    log::error(
        "capture: closed, new connections are refused reason=\"{}\" outbound={} inbound_ports={}",
        why,
        plan_->guards_outbound(),
        fmt::join(plan_->inbound_closed, ","));
  }
  must_release_ = true;
  try_release();
}

void CaptureControl::try_release() {
  if (!must_release_) return;
  last_try_ = env_.clock.mono();
  if (auto done = plan_ ? env_.rules.release(*plan_) : env_.rules.clear(); !done) {
    const std::string text = describe(done.error());
    if (problem_ != text) log::error("capture: the rules cannot be removed yet: {}", text);
    problem_ = text;
    return;
  }
  forget_queries();
  must_release_ = false;
  if (!trial_) end_trial();
}

void CaptureControl::forget_queries() const {
  if (plan_ && plan_->redirects_dns() && env_.forget_queries) env_.forget_queries(plan_->dns.port);
}

void CaptureControl::on_rules_changed() {
  if (state_ == CaptureState::gave_up || env_.rules.is_intact()) return env_.rules.tidy();
  if (state_ != CaptureState::active && state_ != CaptureState::agent_dead) return;
  if (!plan_) return;
  if (!budget_.admit(env_.clock.mono())) {
    return release("another program keeps changing the rules", CaptureState::gave_up);
  }
  ++repairs_;
  log::warn("capture: another program changed the rules, repairing count={}", repairs_);
  // The facts of now: the resolver or the SSH peers may be others than at the start.
  auto done = state_ == CaptureState::active ? capture(InterceptConfig(*active_))
                                             : env_.rules.release(*plan_);
  if (!done) problem_ = describe(done.error());
}

void CaptureControl::look_again() {
  last_try_ = env_.clock.mono();
  if (must_release_) return try_release();
  if (state_ != CaptureState::active || !active_) return;
  if (active_->dns_port != 0 && env_.name_servers() != name_servers_) {
    log::info("capture: /etc/resolv.conf names other resolvers");
    return recapture();
  }
  if (!env_.rules.is_name_saved()) return;
  log::warn(
      "capture: a firewall's file has saved table {}: taking another name, so that the file can be "
      "loaded",
      env_.rules.view().table);
  recapture();
}

void CaptureControl::recapture() {
  if (!active_) return;
  if (auto done = capture(InterceptConfig(*active_)); !done) problem_ = describe(done.error());
}

void CaptureControl::on_tick() {
  if (env_.clock.mono() - last_try_ >= kRetry) look_again();
  if (trial_ && env_.clock.mono() >= trial_->end)
    roll_back(fmt::format("nobody confirmed capture within {} s", trial_->limit.count()));
  if (grace_end_ && env_.clock.mono() >= *grace_end_) {
    grace_end_.reset();
    if (is_agent_present_ && state_ == CaptureState::active) return;
    if (plan_) {
      release("no agent came back after the helper's start", CaptureState::agent_dead);
    } else {
      // Rules that nobody can explain any more: of a helper whose state is lost.
      if (auto done = env_.rules.clear(); !done) problem_ = describe(done.error());
    }
  }
}

void CaptureControl::on_stop() {
  env_.rules.tidy();
  const RulesView view = env_.rules.view();
  if (!view.table.empty()) {
    log::info("capture: table {} stays {}, the next mooring-net takes over",
              view.table,
              view.is_owned ? "as long as the agent lives" : "in place");
  }
  if (view.has_guard)
    log::info("capture: the guard stays, ports that are closed without the agent are refused");
  if (view.is_draining) {
    log::warn(
        "capture: connections that were captured are still open and need the drain table; the next "
        "mooring-net removes it after them");
  }
}

void CaptureControl::become(CaptureState state) {
  if (state_ != state) since_ = env_.clock.wall();
  state_ = state;
}

void CaptureControl::save() {
  env_.save(trial_ ? trial_->before : SavedState{active_, set_by_root_, is_held_off_});
}

capture_client::Status CaptureControl::status() const {
  const RulesView view = env_.rules.view();
  capture_client::Status status;
  status.state = state_;
  status.backend = view.backend;
  status.is_owned = view.is_owned;
  status.table = view.table;
  status.has_guard = view.has_guard;
  status.is_draining = view.is_draining;
  status.repairs = repairs_;
  status.openings = openings_;
  status.since_unix_s = unix_seconds(since_);
  status.problem = trial_ ? describe_trial() : problem_;
  status.config = active_;
  if (trial_) status.trial_ends_unix_s = unix_seconds(trial_->wall_end);
  status.dns = dns();
  return status;
}

capture_client::DnsRedirection CaptureControl::dns() const noexcept {
  using capture_client::DnsRedirection;
  if (state_ == CaptureState::active && plan_ && plan_->redirects_dns())
    return DnsRedirection::active;
  return may_redirect_dns_ && !is_held_off_ ? DnsRedirection::allowed : DnsRedirection::not_allowed;
}

}  // namespace mooring::transparent_proxy
