// What the admin API may ask of the agent.
#include <chrono>
#include <nlohmann/json.hpp>

#include "app/agent.h"
#include "app/process.h"
#include "app/reports.h"
#include "core/log.h"
#include "observe/envoy_stats.h"
#include "observe/record_json.h"

namespace mooring::app {

namespace {

using Json = nlohmann::ordered_json;

std::vector<const observe::AccessRecord*> newest(observe::FlightRecorder& recorder,
                                                 std::size_t limit) {
  std::vector<const observe::AccessRecord*> records = recorder.recent();
  if (records.size() > limit) records.resize(limit);
  return records;
}

http::Response refused(const std::vector<Diagnostic>& problems) {
  Json list = Json::array();
  for (const Diagnostic& problem : problems) {
    list.push_back({{"path", problem.path}, {"message", problem.message}, {"hint", problem.hint}});
  }
  return admin::json_response(observe::dump({{"problems", std::move(list)}}), 422);
}

}  // namespace

Report Agent::report() const {
  Report report{
      .ready = readiness().ready,
      .is_replaced = is_program_replaced(),
      .now = Clock().wall(),
      .started = started_,
      .config = config_,
      .config_state = config_state_,
      .snapshot = *snapshot_,
      .names = names_.names(),
      .rejected = rejected_,
      .identity_problem = identity_.problem(),
      .control_plane = control_plane_ ? std::optional(control_plane_->state()) : std::nullopt,
      .stats = stats_,
      .capture = capture_->state(),
      .sink_problems = access_log_->sink_problems(),
      .endpoint = [this](const std::string& cluster, const SocketAddress& address) {
        const auto seen = workers_->health().seen(cluster, address);
        return EndpointReport{
            workers_->endpoint(cluster, address).connections, seen.is_ejected, seen.fails_check};
      }};
  return report;
}

observe::ServerFacts Agent::facts() const {
  observe::ServerFacts facts;
  facts.version = MOORING_VERSION;
  facts.live = readiness().ready;
  facts.now = Clock().wall();
  facts.uptime = std::chrono::duration_cast<std::chrono::seconds>(facts.now - started_);
  facts.memory_allocated_bytes = allocated_bytes();
  if (const auto* own = snapshot_ ? snapshot_->own_identity() : nullptr)
    facts.certificate_not_after = own->not_after;
  facts.identity_updates = identity_.updates();
  if (control_plane_) facts.control_plane_connected = control_plane_->is_live();
  facts.config_reloads = config_state_.reloads;
  facts.config_reload_failures = config_state_.failures;
  facts.access_log_written = access_log_->written();
  facts.access_log_dropped = access_log_->dropped();
  facts.access_log_failures = access_log_->failures();
  facts.log_dropped = log::dropped();
  facts.capture_on = capture_ && capture_->is_active();
  facts.capture_repairs = capture_ ? capture_->repairs() : 0;
  facts.connection_limit = config_.limits.connections;
  return facts;
}

void Agent::add_envoy_handlers(admin::Handlers& handlers) {
  handlers.envoy_config_dump = [this] {
    return snapshot_ && capture_ ? envoy_config_dump_json(report()) : "{}";
  };
  handlers.envoy_clusters = [this](admin::TextForm form) -> std::string {
    const bool is_json = form == admin::TextForm::json;
    if (!snapshot_ || !capture_) return is_json ? "{}" : "";
    return is_json ? envoy_clusters_json(report()) : envoy_clusters_text(report());
  };
  handlers.envoy_stats = [this](admin::TextForm form) {
    const std::string page = observe::render_prometheus(stats_, facts());
    return form == admin::TextForm::json ? observe::envoy_stats_json(page)
                                         : observe::envoy_stats_text(page);
  };
}

admin::Handlers Agent::handlers() {
  admin::Handlers handlers;
  handlers.ready = [this] { return readiness(); };
  handlers.metrics = [this] { return observe::render_prometheus(stats_, facts()); };
  handlers.config_dump = [this] {
    return snapshot_ && capture_ ? config_dump_json(report()) : "{}";
  };
  handlers.clusters = [this] { return snapshot_ && capture_ ? clusters_json(report()) : "{}"; };
  add_envoy_handlers(handlers);
  handlers.status = [this]() -> std::string {
    if (!snapshot_ || !capture_) return "{}";
    return status_json(report());
  };
  handlers.before_status = [this](std::function<void()> then) {
    if (!capture_) return then();
    capture_->refresh(std::move(then));
  };
  handlers.before_canary = [this](std::function<void()> then) {
    if (!snapshot_) return then();
    canary_.run(snapshot_, std::move(then));
  };
  handlers.canary = [this] {
    Json list = Json::array();
    for (const CanaryResult& result : canary_.results())
      list.push_back({{"target", result.target}, {"problem", result.problem}});
    return admin::json_response(observe::dump(list));
  };
  handlers.why = [this](std::size_t limit) {
    return observe::render_why_json(newest(recorder_, limit));
  };
  handlers.why_text = [this](std::size_t limit) {
    return observe::render_why_text(newest(recorder_, limit));
  };
  handlers.drain = [this] {
    drain();
    return admin::json_response("{}");
  };
  handlers.reload = [this] {
    const Reloaded done = reload();
    if (!done.problems.empty()) return refused(done.problems);
    return admin::json_response(
        observe::dump({{"generation", config_state_.generation}, {"warnings", done.warnings}}));
  };
  handlers.set_log_level = [](log::Level level) {
    log::set_level(level);
    return admin::json_response("{}");
  };
  return handlers;
}

}  // namespace mooring::app
