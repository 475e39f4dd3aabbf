#include "app/capture_control.h"

#include <algorithm>
#include <utility>

#include "core/log.h"

namespace mooring::app {

namespace {

using capture_client::CaptureEvent;
using capture_client::HelperQuery;

// At a boot, and after a join, both start at once.
constexpr Milliseconds kLookAtFirst{50};
constexpr unsigned kFirstLooks = 40;
constexpr Milliseconds kLookEvery{1000};
// It makes sockets and nothing else.
constexpr Milliseconds kLookLimit{5000};
// Somebody waits for the status, and gets it within a second without mooring-net's part.
constexpr Milliseconds kStatusLimit{600};

// A control plane's listeners have sockets of their own where nothing is captured.
bool has_captured_services(const config::AgentConfig& config) {
  return !config.control_plane && std::any_of(config.services.begin(),
                                              config.services.end(),
                                              [](const auto& service) { return !service.listen; });
}

bool is_empty(const capture_client::InterceptConfig& config) {
  return config.outbound.empty() && config.inbound.empty() &&
         config.other == capture_client::OtherTraffic::pass && config.dns_port == 0;
}

}  // namespace

CaptureControl::CaptureControl(Loop& loop, SocketNeeds needs, Effects effects)
    : loop_(loop),
      needs_(needs),
      effects_(std::move(effects)),
      look_timer_(loop, [this] { look_for_helper(); }),
      answer_timer_(loop, [this] { answer_waiting(); }) {}

Checked<void> CaptureControl::start(const config::AgentConfig& config,
                                    const snapshot::ResolvedNames& names) {
  config_ = config;
  names_ = names;
  FromHelper answer = ask_helper(config.capture, needs_);
  if (answer.sockets) {
    effects_.add_sockets(std::move(*answer.sockets));
    has_outbound_ = has_inbound_ = true;
    connect();
    return {};
  }
  if (answer.is_reachable) return fail(answer.sockets.error());
  on_missing(answer.sockets.error());
  look_timer_.start(kLookAtFirst, kLookAtFirst);
  return config.capture.enabled ? Checked<void>{} : open_own(config);
}

// mooring-net may come later than we, also where the configuration wants no capture: root may.
void CaptureControl::look_for_helper() {
  if (++looks_ == kFirstLooks) look_timer_.start(kLookEvery, kLookEvery);
  if (look_ && !look_->is_done()) return;
  const auto on_done = [this](Checked<HelperQuery::Answer> answer) { on_found(std::move(answer)); };
  // Our own sockets stay where they are: closing one would lose the connections that wait in it.
  capture_client::Body request = capture_client::GetStatus{};
  if (!has_outbound_ || !has_inbound_) {
    request = capture_client::GetListeners{
        static_cast<std::uint16_t>(needs_.workers),
        has_outbound_ ? std::uint16_t{0} : config_.capture.outbound_port,
        has_inbound_ ? std::uint16_t{0} : config_.capture.inbound_port};
  }
  look_.emplace(loop_, config_.capture.helper_socket, std::move(request), kLookLimit, on_done);
}

void CaptureControl::on_found(Checked<HelperQuery::Answer> answer) {
  if (!answer) return on_missing(answer.error());
  if (std::holds_alternative<capture_client::ListenerSet>(answer->body)) {
    auto listeners =
        capture_client::listeners_of(config_.capture.helper_socket, std::move(*answer));
    if (!listeners) return on_missing(listeners.error());
    effects_.add_sockets(sockets_from(std::move(*listeners), needs_));
    has_outbound_ = has_inbound_ = true;
  }
  problem_.clear();
  look_timer_.stop();
  connect();
  effects_.on_change();
}

void CaptureControl::on_missing(const Diagnostic& why) {
  const std::string text = describe(why);
  const bool is_news = std::exchange(last_miss_, text) != text;
  if (!config_.capture.enabled) {
    if (is_news) log::info("capture is off, and mooring-net is not there: {}", text);
    return;
  }
  if (is_news || problem_.empty()) log::error("nothing is captured yet: {}", text);
  problem_ = text;
  effects_.on_change();
}

// Without mooring-net: somebody else's rules, or none, lead here.
Checked<void> CaptureControl::open_own(const config::AgentConfig& config) {
  look_.reset();  // it may be about to take the same ports
  if (!has_outbound_ && !config.upstreams.empty()) {
    auto sockets = open_outbound(config.capture.outbound_port, needs_);
    if (!sockets) return fail(sockets.error());
    effects_.add_sockets(std::move(*sockets));
    has_outbound_ = true;
  }
  if (!has_inbound_ && has_captured_services(config)) {
    auto sockets = open_inbound(config.capture.inbound_port, needs_);
    if (!sockets) {
      log::warn("services without `listen` are not reached through the agent: {}",
                describe(sockets.error()));
      return {};
    }
    effects_.add_sockets(std::move(*sockets));
    has_inbound_ = true;
  }
  return {};
}

void CaptureControl::connect() {
  client_ = std::make_unique<capture_client::CaptureClient>(
      loop_, config_.capture.helper_socket, [this](const CaptureEvent& event) { on_event(event); });
  want();
}

Checked<void> CaptureControl::check(const config::AgentConfig& next) {
  return client_ || next.capture.enabled ? Checked<void>{} : open_own(next);
}

Checked<void> CaptureControl::apply(const config::AgentConfig& config,
                                    const snapshot::ResolvedNames& names) {
  config_ = config;
  names_ = names;
  if (client_) {
    want();
    return {};
  }
  if (config.capture.enabled) {
    if (problem_.empty()) problem_ = last_miss_;
    return {};
  }
  problem_.clear();
  return open_own(config);
}

Checked<Interception> CaptureControl::interception() const {
  const snapshot::Resources* resources = effects_.resources ? effects_.resources() : nullptr;
  if (resources != nullptr) {
    auto wanted = intercept_config(*resources, config_.capture);
    const auto& told = client_->status();
    const bool is_allowed = told && told->dns != capture_client::DnsRedirection::not_allowed;
    if (wanted && is_allowed && effects_.dns_port) wanted->config.dns_port = effects_.dns_port();
    return wanted;
  }
  return intercept_config(config_, [this](const std::string& name) {
    const auto found = names_.find(name);
    return found == names_.end() ? std::vector<IpAddress>{} : found->second;
  });
}

void CaptureControl::want() {
  if (!config_.capture.enabled) {
    if (wanted_) client_->drop([] {});
    wanted_.reset();
    return;
  }
  auto wanted = interception();
  if (!wanted) {
    problem_ = describe(wanted.error());
    log::error("capture stays as it is: {}", problem_);
    return;
  }
  if (wanted_ == wanted->config || (!wanted_ && is_empty(wanted->config))) return;
  for (const std::string& note : wanted->notes)
    log::warn("{}", note);
  wanted_ = std::move(wanted->config);
  client_->set_wanted(wanted_);
}

void CaptureControl::drop(std::function<void()> on_done) {
  look_timer_.stop();
  look_.reset();
  wanted_.reset();
  if (client_) {
    client_->drop(std::move(on_done));
  } else {
    on_done();
  }
}

void CaptureControl::refresh(std::function<void()> then) {
  waiting_.push_back(std::move(then));
  if (status_query_ && !status_query_->is_done()) return;
  status_query_.emplace(
      loop_,
      config_.capture.helper_socket,
      capture_client::GetStatus{},
      kStatusLimit,
      [this](Checked<HelperQuery::Answer> answer) { on_status(std::move(answer)); });
}

void CaptureControl::on_status(Checked<HelperQuery::Answer> answer) {
  if (!answer) {
    status_ = fail(answer.error());
  } else if (auto* status = std::get_if<capture_client::Status>(&answer->body)) {
    status_ = std::move(*status);
  }
  // Not in here: who gets an answer may ask again, which would replace this query.
  answer_timer_.start(Milliseconds{0});
}

void CaptureControl::answer_waiting() {
  for (const auto& then : std::exchange(waiting_, {}))
    then();
}

CaptureState CaptureControl::state() const {
  CaptureState state;
  state.problem = problem();
  state.repairs = repairs();
  if (wanted_) {
    state.outbound = wanted_->outbound.size();
    state.inbound = wanted_->inbound.size();
  }
  if (!status_) return state;
  if (!*status_) {
    // Without a helper nothing is wrong where nothing is to be captured.
    if (state.problem.empty() && has_sockets() && client_)
      state.problem = describe(status_->error());
    return state;
  }
  const capture_client::Status& status = **status_;
  state.state = capture_client::to_string(status.state);
  state.backend = status.backend;
  state.repairs = status.repairs;
  if (status.config) {
    state.outbound = status.config->outbound.size();
    state.inbound = status.config->inbound.size();
  }
  if (state.problem.empty()) state.problem = status.problem;
  return state;
}

std::string CaptureControl::problem() const {
  if (!problem_.empty()) return problem_;
  if (wanted_ && client_ && !client_->is_active())
    return "mooring-net has not confirmed capture yet";
  return {};
}

bool CaptureControl::is_active() const noexcept {
  if (!client_) return false;
  if (wanted_) return client_->is_active();
  const std::optional<capture_client::Status>& told = client_->status();
  return client_->is_connected() && told && told->state == capture_client::CaptureState::active;
}

bool CaptureControl::is_settled() const noexcept {
  return !config_.capture.enabled || (client_ && client_->status());
}

bool CaptureControl::redirects_dns() const noexcept {
  using capture_client::DnsRedirection;
  if (!config_.capture.enabled || !client_) return false;
  const std::optional<capture_client::Status>& told = client_->status();
  const DnsRedirection dns = told ? told->dns : DnsRedirection::not_allowed;
  const bool is_asked_for = wanted_ && wanted_->dns_port != 0 && client_->is_active();
  return is_asked_for ? dns == DnsRedirection::active : dns != DnsRedirection::not_allowed;
}

std::uint32_t CaptureControl::repairs() const noexcept {
  if (!client_) return 0;
  const std::optional<capture_client::Status>& told = client_->status();
  return told ? told->repairs : 0;
}

void CaptureControl::on_event(const CaptureEvent& event) {
  switch (event.kind) {
    case CaptureEvent::Kind::connected:
      problem_.clear();
      log::info("connected to mooring-net, which uses {}", event.text);
      break;
    case CaptureEvent::Kind::disconnected:
      problem_ = "mooring-net is away: " + event.text;
      log::warn("{}", problem_);
      break;
    case CaptureEvent::Kind::told:
      log::info("redirection of queries for names: {}", event.text);
      want();
      break;
    case CaptureEvent::Kind::activated:
      problem_.clear();
      log::info("capture is active: {} outbound targets, {} inbound ports",
                wanted_ ? wanted_->outbound.size() : 0,
                wanted_ ? wanted_->inbound.size() : 0);
      break;
    case CaptureEvent::Kind::dropped:
      log::info("capture ended");
      break;
    case CaptureEvent::Kind::refused:
      problem_ = event.text;
      log::error("capture refused: {}", event.text);
      break;
  }
  effects_.on_change();
}

}  // namespace mooring::app
