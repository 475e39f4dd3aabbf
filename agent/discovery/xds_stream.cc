// The client's stream: from the first request to its end.
#include <utility>

#include "core/escape.h"
#include "core/log.h"
#include "discovery/xds_client.h"

namespace mooring::discovery {

namespace {

constexpr const char* kDelta =
    "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources";
constexpr const char* kSotw =
    "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources";

}  // namespace

void XdsClient::open_stream() {
  set_phase(XdsPhase::connecting);
  const bool is_sotw = bootstrap_ && bootstrap_->is_sotw;
  call_ = channel_->open(is_sotw ? kSotw : kDelta, [this] { return call_metadata(); }, *this);
}

void XdsClient::drop_stream() {
  first_answer_.stop();
  warm_clusters_.stop();
  repeat_refusals_.stop();
  session_.reset();
  sotw_.reset();
  call_.reset();
}

// The bootstrap's, with the token as it is now.
std::vector<http::Header> XdsClient::call_metadata() {
  if (!bootstrap_) return {};
  if (options_.bootstrap_file.empty()) {
    const auto refreshed = token_.refresh();
    if (!refreshed) log::warn("{}", describe(refreshed.error()));
  }
  std::vector<http::Header> headers = bootstrap_->metadata;
  for (http::Header& header : headers)
    if (header.value.empty()) header.value = token_.token();
  if (bootstrap_->reads_token_file) headers.push_back({"authorization", token_.token()});
  return headers;
}

void XdsClient::on_open() {
  ++state_.streams;
  set_phase(XdsPhase::waiting);
  first_answer_.start(options_.times.first_answer);
  is_waiting_for_warmth_ = false;
  session_.emplace([this](ResourceKind kind) { return store_.versions(kind); });
  if (bootstrap_ && bootstrap_->is_sotw)
    sotw_.emplace([this](ResourceKind kind) { return known_names(kind); });
  session_->start();
  // What is known from before is asked for at once, with its versions.
  want_names();
  if (!store_.resources().clusters.empty() && store_.clusters_are_warm()) session_->ask_listeners();
  send_requests();
}

void XdsClient::want_names() {
  if (!session_) return;
  wanted_revision_ = store_.names_revision();
  session_->want(ResourceKind::endpoints, store_.wanted(ResourceKind::endpoints));
  std::set<std::string> secrets = store_.wanted(ResourceKind::secret);
  std::erase_if(secrets, [](const std::string& name) { return parse_sds_name(name).has_value(); });
  session_->want(ResourceKind::secret, secrets);
}

void XdsClient::send_requests() {
  if (!session_ || !call_) return;
  for (const DeltaRequest& request : session_->take()) {
    if (!sotw_) {
      send(encode_delta_request(request, node_));
    } else if (const auto whole = sotw_->request(request)) {
      send(encode_sotw_request(*whole, node_));
    } else {
      repeat_refusals_.start(options_.times.repeat_refusal);
    }
  }
}

void XdsClient::send(const std::string& request) {
  call_->send(std::as_bytes(std::span(request)));
}

void XdsClient::repeat_refusals() {
  if (!sotw_ || !call_) return;
  for (const SotwRequest& request : sotw_->take_held())
    send(encode_sotw_request(request, node_));
}

Result<DeltaResponse> XdsClient::decode_response(Bytes message) {
  if (!sotw_) return decode_delta_response(message);
  auto whole = decode_sotw_response(message);
  if (!whole) return fail(whole.error());
  return sotw_->response(std::move(*whole));
}

std::set<std::string> XdsClient::known_names(ResourceKind kind) const {
  std::set<std::string> names;
  for (const auto& [name, version] : store_.versions(kind))
    names.insert(name);
  for (const RejectedResource& each : store_.rejected())
    if (each.kind == kind) names.insert(each.name);
  return names;
}

void XdsClient::on_message(Bytes message) {
  auto response = decode_response(message);
  if (!response) {
    // The call may be cancelled here; its end is this sentence.
    drop_stream();
    return refuse({Refusal::Kind::refused,
                   "the control plane sent a message that is none",
                   "look for proxies in between"});
  }
  take_response(std::move(*response));
}

void XdsClient::take_response(DeltaResponse response) {
  if (!session_) return;
  ++state_.responses;
  state_.last_response = clock_.wall();
  first_answer_.stop();
  if (state_.phase != XdsPhase::live) {
    live_since_ms_ = loop_.now_ms();
    set_problem("", "");
    set_phase(XdsPhase::live);
    log::info("control plane: {} is live", escape_peer_text(state_.node_id));
    // The control plane knows this node now.
    if (bootstrap_->has_health && !std::exchange(is_health_asked_, true))
      health_.start(*channel_, [this] { return call_metadata(); }, node_);
  }
  const auto kind = session_->on_response(response);
  if (kind) {
    const std::string nonce = response.nonce;
    const auto rejected = store_.apply(*kind, std::move(response), loop_.now_ms());
    if (!rejected.empty()) {
      ++state_.rejections;
      log::warn("control plane: refused in part: {}", describe_rejected(rejected));
    }
    // All names are looked at only when there are others: not for an update of one endpoint.
    if (store_.names_revision() != wanted_revision_) want_names();
    session_->answer(*kind, nonce, rejected);
    if (*kind == ResourceKind::listener && !std::exchange(state_.has_listeners, true)) {
      state_.last_good.reset();
      is_state_new_ = true;
    }
    ask_listeners_if_warm();
    save_later();
  }
  send_requests();
  notify_soon();
}

// Of another server than the control plane.
std::vector<RejectedResource> XdsClient::take_secret(DeltaResponse response) {
  auto rejected = store_.apply(ResourceKind::secret, std::move(response), loop_.now_ms());
  if (session_) {
    ask_listeners_if_warm();
    send_requests();
  }
  notify_soon();
  return rejected;
}

void XdsClient::ask_listeners_if_warm() {
  if (!session_ || session_->has_asked(ResourceKind::listener) ||
      !session_->has_answer(ResourceKind::cluster))
    return;
  if (store_.clusters_are_warm()) {
    warm_clusters_.stop();
    session_->ask_listeners();
  } else if (!std::exchange(is_waiting_for_warmth_, true)) {
    warm_clusters_.start(options_.times.warm_clusters);
  }
}

void XdsClient::on_end(const http::GrpcStatus& status) {
  drop_stream();
  refuse(explain_refusal(status));
}

void XdsClient::answer_is_late() {
  drop_stream();
  refuse({Refusal::Kind::refused,
          "the control plane has taken the request and does not answer",
          "look at the control plane's log"});
}

// May be called from inside the channel: the next step is the loop's.
void XdsClient::refuse(const Refusal& refusal) {
  const XdsTimes& times = options_.times;
  const bool was_live = state_.phase == XdsPhase::live;
  const bool was_good = was_live && loop_.now_ms() - live_since_ms_ >=
                                        static_cast<std::uint64_t>(times.retry_cap.count());
  if (was_good) backoff_.reset();
  if (state_.problem != refusal.text) log::warn("control plane: {}", refusal.text);
  set_problem(refusal.text, refusal.remedy);
  set_phase(XdsPhase::refused);
  switch (refusal.kind) {
    case Refusal::Kind::already_active:
      return schedule(is_identity_new_ ? Next::bootstrap : Next::stream,
                      backoff_.between(times.active_window, times.active_window * 5 / 4));
    case Refusal::Kind::lost:
      // The channel has a backoff of its own for connections; this one is for streams.
      return schedule(is_identity_new_ ? Next::bootstrap : Next::stream,
                      backoff_.next(times.retry_base / 2, times.retry_cap));
    case Refusal::Kind::unauthorized:
    case Refusal::Kind::refused:
      return schedule(Next::bootstrap, backoff_.next(times.refused_base, times.refused_cap));
  }
}

}  // namespace mooring::discovery
