#include "app/capture_control.h"

#include <algorithm>
#include <utility>

#include "app/intercept.h"
#include "core/log.h"

namespace mooring::app {

namespace {

using capture_client::CaptureEvent;

constexpr Milliseconds kRetry{1000};

bool has_captured_services(const config::AgentConfig& config) {
  return std::any_of(config.services.begin(), config.services.end(), [](const auto& service) {
    return !service.listen;
  });
}

bool is_empty(const capture_client::InterceptConfig& config) {
  return config.outbound.empty() && config.inbound.empty() &&
         config.other == capture_client::OtherTraffic::pass;
}

}  // namespace

CaptureControl::CaptureControl(Loop& loop,
                               SocketNeeds needs,
                               std::function<void(WorkerSockets)> add_sockets)
    : loop_(loop),
      needs_(needs),
      add_sockets_(std::move(add_sockets)),
      retry_(loop, [this] { try_helper(); }) {}

Checked<void> CaptureControl::start(const config::AgentConfig& config,
                                    const snapshot::ResolvedNames& names) {
  config_ = config;
  names_ = names;
  FromHelper answer = ask_helper(config.capture, needs_);
  if (answer.sockets) {
    add_sockets_(std::move(*answer.sockets));
    connect();
    return {};
  }
  if (answer.is_reachable) return fail(answer.sockets.error());
  if (!config.capture.enabled) return open_own(config);
  problem_ = describe(answer.sockets.error());
  log::error("nothing is captured yet: {}", problem_);
  retry_wanted_ = true;
  retry_.start(kRetry, kRetry);
  return {};
}

void CaptureControl::try_helper() {
  FromHelper answer = ask_helper(config_.capture, needs_);
  if (!answer.sockets) {
    std::string problem = describe(answer.sockets.error());
    if (problem != problem_) log::error("nothing is captured yet: {}", problem);
    problem_ = std::move(problem);
    return;
  }
  problem_.clear();
  retry_wanted_ = false;
  retry_.stop();
  add_sockets_(std::move(*answer.sockets));
  connect();
}

// Without mooring-net: somebody else's rules, or none, lead here.
Checked<void> CaptureControl::open_own(const config::AgentConfig& config) {
  if (!has_own_outbound_ && !config.upstreams.empty()) {
    auto sockets = open_outbound(config.capture.outbound_port, needs_);
    if (!sockets) return fail(sockets.error());
    add_sockets_(std::move(*sockets));
    has_own_outbound_ = true;
  }
  if (!has_own_inbound_ && has_captured_services(config)) {
    auto sockets = open_inbound(config.capture.inbound_port, needs_);
    if (!sockets) {
      log::warn("services without `listen` are not reached through the agent: {}",
                describe(sockets.error()));
      return {};
    }
    add_sockets_(std::move(*sockets));
    has_own_inbound_ = true;
  }
  return {};
}

void CaptureControl::connect() {
  client_ = std::make_unique<capture_client::CaptureClient>(
      loop_, config_.capture.helper_socket, [this](const CaptureEvent& event) { on_event(event); });
  want();
}

Checked<void> CaptureControl::check(const config::AgentConfig& next) {
  return client_ || retry_wanted_ ? Checked<void>{} : open_own(next);
}

Checked<void> CaptureControl::apply(const config::AgentConfig& config,
                                    const snapshot::ResolvedNames& names) {
  config_ = config;
  names_ = names;
  if (client_) {
    want();
    return {};
  }
  if (!retry_wanted_) return open_own(config);
  return {};
}

void CaptureControl::want() {
  if (!config_.capture.enabled) {
    if (wanted_) client_->drop([] {});
    wanted_.reset();
    return;
  }
  auto interception = intercept_config(config_, [this](const std::string& name) {
    const auto found = names_.find(name);
    return found == names_.end() ? std::vector<IpAddress>{} : found->second;
  });
  if (!interception) {
    problem_ = describe(interception.error());
    log::error("capture stays as it is: {}", problem_);
    return;
  }
  if (wanted_ == interception->config || (!wanted_ && is_empty(interception->config))) return;
  for (const std::string& note : interception->notes)
    log::warn("{}", note);
  wanted_ = std::move(interception->config);
  client_->set_wanted(wanted_);
}

void CaptureControl::drop(std::function<void()> on_done) {
  retry_.stop();
  retry_wanted_ = false;
  wanted_.reset();
  if (client_) {
    client_->drop(std::move(on_done));
  } else {
    on_done();
  }
}

std::string CaptureControl::problem() const {
  if (!problem_.empty()) return problem_;
  if (wanted_ && client_ && !client_->is_active())
    return "mooring-net has not confirmed capture yet";
  return {};
}

void CaptureControl::on_event(const CaptureEvent& event) {
  switch (event.kind) {
    case CaptureEvent::Kind::connected:
      problem_.clear();
      log::info("connected to mooring-net, which uses {}", event.text);
      return;
    case CaptureEvent::Kind::disconnected:
      problem_ = "mooring-net is away: " + event.text;
      log::warn("{}", problem_);
      return;
    case CaptureEvent::Kind::activated:
      problem_.clear();
      log::info("capture is active: {} outbound targets, {} inbound ports", outbound(), inbound());
      return;
    case CaptureEvent::Kind::dropped:
      log::info("capture ended");
      return;
    case CaptureEvent::Kind::refused:
      problem_ = event.text;
      log::error("capture refused: {}", event.text);
      return;
  }
}

}  // namespace mooring::app
