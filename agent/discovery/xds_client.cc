// Bootstrap, connection and backoff; xds_stream.cc has the stream.
#include "discovery/xds_client.h"

#include <algorithm>
#include <utility>

#include "core/escape.h"
#include "core/file.h"
#include "core/log.h"
#include "identity/x509.h"

namespace mooring::discovery {

namespace {

// Some hundred CAs.
constexpr std::size_t kMaxCaBytes = std::size_t{1} * 1024 * 1024;

}  // namespace

const char* to_string(XdsPhase phase) noexcept {
  switch (phase) {
    case XdsPhase::stopped:
      return "stopped";
    case XdsPhase::bootstrapping:
      return "bootstrapping";
    case XdsPhase::connecting:
      return "connecting";
    case XdsPhase::waiting:
      return "waiting";
    case XdsPhase::live:
      return "live";
    case XdsPhase::refused:
      return "refused";
  }
  return "";
}

XdsClient::XdsClient(Loop& loop,
                     net::StreamPool& pool,
                     tls::Scratch& scratch,
                     const Clock& clock,
                     XdsOptions options,
                     Owner& owner)
    : loop_(loop),
      pool_(pool),
      scratch_(scratch),
      clock_(clock),
      options_(std::move(options)),
      owner_(owner),
      store_(options_.store),
      token_(options_.token_file),
      health_(loop, pool),
      sds_(loop,
           pool,
           scratch,
           clock,
           options_.times.sds,
           [this](DeltaResponse response) { return take_secret(std::move(response)); }),
      retry_(loop, [this] { act(); }),
      first_answer_(loop, [this] { answer_is_late(); }),
      warm_clusters_(loop,
                     [this] {
                       if (session_) session_->ask_listeners();
                       send_requests();
                     }),
      repeat_refusals_(loop, [this] { repeat_refusals(); }),
      notify_(loop, [this] { notify(); }),
      save_(loop, [this] { save_last_good(); }),
      tick_(loop, [this] { tick(); }) {
  AGENT_CHECK(!options_.control_planes.empty() || !options_.bootstrap_file.empty());
  identity::prepare_library();  // libcurl must not be the first one
  if (!options_.last_good_file.empty()) {
    file_.emplace(options_.last_good_file, options_.machine_id, options_.persist_secrets);
  }
  state_.node_id = identity_id();
}

// As Kuma names a node.
std::string XdsClient::identity_id() const {
  return options_.identity.mesh + "." + options_.identity.name;
}

XdsClient::~XdsClient() {
  stop();
}

void XdsClient::start() {
  if (state_.phase != XdsPhase::stopped) return;
  load_last_good();
  set_phase(XdsPhase::bootstrapping);
  schedule(Next::bootstrap, Milliseconds(0));
  tick_.start(options_.times.tick, options_.times.tick);
}

void XdsClient::stop() {
  if (state_.phase == XdsPhase::stopped) return;
  save_last_good();
  drop_stream();
  for (Timer* timer : {&retry_, &first_answer_, &warm_clusters_, &save_, &tick_, &notify_})
    timer->stop();
  fetch_.reset();
  health_.stop();
  sds_.stop();
  channel_.reset();
  next_ = Next::nothing;
  apart_since_ms_ = 0;
  set_phase(XdsPhase::stopped);
  notify_.stop();
}

void XdsClient::set_identity(BootstrapRequest identity) {
  if (identity == options_.identity) return;
  options_.identity = std::move(identity);
  is_identity_new_ = true;
  backoff_.reset();
  if (state_.phase != XdsPhase::stopped) schedule(Next::bootstrap, Milliseconds(0));
}

// ---- what is done next

void XdsClient::schedule(Next next, Milliseconds after) {
  next_ = next;
  retry_.start(after);
}

void XdsClient::act() {
  switch (std::exchange(next_, Next::nothing)) {
    case Next::nothing:
      return;
    case Next::bootstrap:
      return ask_bootstrap();
    case Next::stream:
      return open_stream();
  }
}

void XdsClient::tick() {
  sds_.tick();
  if (store_.is_waiting()) {
    store_.tick(loop_.now_ms());
    if (session_ && store_.names_revision() != wanted_revision_) {
      want_names();
      send_requests();
    }
    notify_soon();
  }
  if (state_.phase == XdsPhase::refused && options_.bootstrap_file.empty()) {
    // A person has done something: no need to wait any longer.
    const std::string ca = ca_pem_;
    const std::string token = token_.token();
    if (read_files() && (token_.token() != token || ca_pem_ != ca)) {
      backoff_.reset();
      schedule(Next::bootstrap, Milliseconds(0));
    }
  }
  const bool is_apart = channel_ && !channel_->state().is_connected;
  if (!is_apart) {
    apart_since_ms_ = 0;
  } else if (apart_since_ms_ == 0) {
    apart_since_ms_ = loop_.now_ms();
  } else if (next_ == Next::nothing && !fetch_ &&
             loop_.now_ms() - apart_since_ms_ >=
                 static_cast<std::uint64_t>(options_.times.connect_patience.count())) {
    set_problem(
        "the control plane cannot be reached: " + escape_peer_text(channel_->state().last_error),
        "check that it runs, and the firewalls in between");
    if (options_.bootstrap_file.empty())
      control_plane_ = (control_plane_ + 1) % options_.control_planes.size();
    apart_since_ms_ = 0;
    schedule(Next::bootstrap, Milliseconds(0));
  }
}

// ---- bootstrap

bool XdsClient::read_files() {
  const auto token = token_.refresh();
  if (!token) {
    set_problem(token.error().path + ": " + token.error().message, token.error().hint);
    return false;
  }
  state_.token_warning = token_.warning();
  auto ca = read_file(options_.ca_file, kMaxCaBytes);
  if (!ca) {
    set_problem(options_.ca_file + ": the CA file cannot be read: " + describe(ca.error()),
                "it holds the CA that signed the control plane's certificate, in PEM");
    return false;
  }
  ca_pem_ = std::move(*ca);
  return true;
}

// A plain xDS server has none to ask for.
void XdsClient::read_bootstrap() {
  const auto text = read_file(options_.bootstrap_file, kMaxBootstrapBytes);
  auto bootstrap = text ? parse_bootstrap_file(*text)
                        : Checked<Bootstrap>(fail(Diagnostic{"", describe(text.error()), ""}));
  if (bootstrap) {
    // The channel goes on trying, and why it has to is still to be read.
    if (call_ && bootstrap_ == *bootstrap) return;
    state_.control_plane = bootstrap->unix_path.empty()
                               ? "https://" + bootstrap->addresses.front().to_string()
                               : "unix:" + bootstrap->unix_path;
    return adopt(std::move(*bootstrap));
  }
  std::string& place = bootstrap.error().path;
  place = options_.bootstrap_file + (place.empty() ? "" : ":" + place);
  const std::string problem = describe(bootstrap.error());
  if (state_.problem != problem) log::warn("control plane: no bootstrap: {}", problem);
  set_problem(problem, "");
  if (state_.phase != XdsPhase::live) set_phase(XdsPhase::refused);
  schedule(Next::bootstrap, backoff_.next(options_.times.retry_base, options_.times.retry_cap));
}

void XdsClient::ask_bootstrap() {
  if (!options_.bootstrap_file.empty()) return read_bootstrap();
  const bool is_live = state_.phase == XdsPhase::live;
  if (!is_live) set_phase(XdsPhase::bootstrapping);
  state_.control_plane = "https://" + options_.control_planes[control_plane_].to_string();
  const auto give_up = [&] {
    if (!is_live) set_phase(XdsPhase::refused);
    schedule(Next::bootstrap, backoff_.next(options_.times.retry_base, options_.times.retry_cap));
  };
  if (!read_files()) return give_up();
  BootstrapRequest wanted = options_.identity;
  wanted.token = token_.token();
  wanted.token_path = token_.path();
  wanted.ca_pem = ca_pem_;
  auto body = build_bootstrap_request(wanted);
  if (!body) {
    set_problem(body.error().message, body.error().hint);
    return give_up();
  }
  bootstrap_token_ = wanted.token;
  net::HttpRequest http = bootstrap_http(state_.control_plane, std::move(*body), ca_pem_);
  if (options_.proxy) {
    http.proxy = "http://" + options_.proxy->address.to_string();
    http.proxy_credentials = options_.proxy->credentials;
  }
  fetch_ = std::make_unique<net::HttpFetch>(loop_, std::move(http), [this](net::HttpResult result) {
    take_bootstrap(std::move(result));
  });
}

void XdsClient::take_bootstrap(net::HttpResult result) {
  retired_fetch_ = std::move(fetch_);
  notify_soon();  // and is gone then
  if (!result) return fail_bootstrap(explain_bootstrap(state_.control_plane, result.error()));
  constexpr int kOk = 200;
  if (result->status != kOk) {
    failed_planes_ = 0;  // it has spoken: the others would say the same
    return fail_bootstrap(explain_bootstrap(state_.control_plane, *result));
  }
  auto bootstrap = parse_bootstrap(result->body, token_.path());
  if (!bootstrap) return fail_bootstrap({bootstrap.error(), true});
  adopt(std::move(*bootstrap));
}

void XdsClient::fail_bootstrap(BootstrapFailure failure) {
  log::warn("control plane: no bootstrap: {}", describe(failure.diagnostic));
  set_problem(std::move(failure.diagnostic.message), std::move(failure.diagnostic.hint));
  if (state_.phase != XdsPhase::live) set_phase(XdsPhase::refused);
  control_plane_ = (control_plane_ + 1) % options_.control_planes.size();
  if (failure.may_pass && ++failed_planes_ < options_.control_planes.size())
    return schedule(Next::bootstrap, Milliseconds(0));
  failed_planes_ = 0;
  const XdsTimes& times = options_.times;
  schedule(Next::bootstrap,
           failure.may_pass ? backoff_.next(times.retry_base, times.retry_cap)
                            : backoff_.next(times.refused_base, times.refused_cap));
}

// A stream that is there for the same node goes on.
void XdsClient::adopt(Bootstrap bootstrap) {
  failed_planes_ = 0;
  // A token that was renewed makes no other bootstrap.
  for (http::Header& header : bootstrap.metadata)
    if (header.value == bootstrap_token_) header.value.clear();
  NodeInfo node{bootstrap.node_id, bootstrap.node_cluster, bootstrap.node_metadata};
  const bool is_same = bootstrap_ && *bootstrap_ == bootstrap && channel_;
  is_identity_new_ = false;
  if (is_same && call_) {
    if (!session_) set_phase(XdsPhase::connecting);
    return set_problem("", "");
  }
  drop_stream();
  if (!is_same && !make_channel(bootstrap)) {
    set_phase(XdsPhase::refused);
    return schedule(Next::bootstrap,
                    backoff_.next(options_.times.retry_base, options_.times.retry_cap));
  }
  node_ = std::move(node);
  state_.node_id = node_.id;
  bootstrap_ = std::move(bootstrap);
  open_stream();
}

bool XdsClient::make_channel(const Bootstrap& bootstrap) {
  GrpcChannelOptions channel;
  for (const HostPort& address : bootstrap.addresses) {
    channel.targets.push_back({.address = address,
                               .proxy = options_.proxy,
                               .unix_path = {},
                               .server_name = bootstrap.server_name});
  }
  if (!bootstrap.unix_path.empty()) {
    channel.targets = {{.address = {},
                        .proxy = std::nullopt,
                        .unix_path = bootstrap.unix_path,
                        .server_name = {}}};
  }
  if (!options_.bootstrap_file.empty()) channel.ping_after = kPingRarely;
  channel.ca_pem = bootstrap.ca_pem.empty() ? ca_pem_ : bootstrap.ca_pem;
  auto made = GrpcChannel::make(loop_, pool_, scratch_, clock_, std::move(channel));
  if (!made) {
    set_problem("the CA of the control plane cannot be used: " + describe(made.error()),
                "the CA file holds certificates in PEM");
    return false;
  }
  health_.stop();
  is_health_asked_ = false;
  channel_ = std::move(*made);
  channel_->start();
  apart_since_ms_ = 0;
  return true;
}

// ---- what others hear

void XdsClient::set_phase(XdsPhase phase) {
  if (state_.phase == phase) return;
  state_.phase = phase;
  state_.since = clock_.wall();
  is_state_new_ = true;
  notify_soon();
}

void XdsClient::set_problem(std::string problem, std::string remedy) {
  if (state_.problem == problem && state_.remedy == remedy) return;
  state_.problem = std::move(problem);
  state_.remedy = std::move(remedy);
  is_state_new_ = true;
  notify_soon();
}

void XdsClient::notify_soon() {
  notify_.start(Milliseconds(0));
}

void XdsClient::notify() {
  retired_fetch_.reset();
  sds_.follow(store_, {.id = state_.node_id, .cluster = {}, .metadata = {}});
  const Changes changes = store_.take_changes();
  if (!changes.empty()) owner_.on_resources(store_, changes);
  if (std::exchange(is_state_new_, false)) owner_.on_state(state_);
}

// ---- the file

void XdsClient::load_last_good() {
  if (!file_) return;
  auto loaded = file_->load();
  if (!loaded) {
    state_.file_problem = describe(loaded.error());
    log::error("last good resources: {}", state_.file_problem);
    return;
  }
  if (loaded->resources.empty()) return;
  if (loaded->node_id != identity_id()) {
    state_.file_problem = file_->path() + ": it is of another Dataplane, and is ignored";
    return;
  }
  state_.last_good = loaded->saved_at;
  is_state_new_ = true;
  for (const RejectedResource& each : store_.load(std::move(loaded->resources))) {
    log::warn("last good resources: {} {} is not understood any more: {}",
              to_string(each.kind),
              escape_peer_text(each.name),
              escape_peer_text(each.reason));
  }
  saved_revision_ = store_.revision();
  notify_soon();
}

// Not before listeners have come: half of the resources would be worse than the older file.
void XdsClient::save_later() {
  if (!file_ || !state_.has_listeners || store_.revision() == saved_revision_) return;
  if (std::exchange(is_save_due_, true)) return;
  constexpr std::size_t kMiB = std::size_t{1} << 20U;
  const Milliseconds pause = options_.times.save_every + Milliseconds(saved_bytes_ * 1000 / kMiB);
  const Milliseconds since(loop_.now_ms() - saved_ms_);
  save_.start(
      std::max(options_.times.save_after, saved_ms_ == 0 ? Milliseconds(0) : pause - since));
}

void XdsClient::save_last_good() {
  if (!std::exchange(is_save_due_, false) || !file_) return;
  saved_ms_ = loop_.now_ms();
  saved_revision_ = store_.revision();
  const auto saved = file_->save({clock_.wall(), identity_id(), store_.accepted()});
  saved_bytes_ = saved.value_or(0);
  const std::string problem = saved ? "" : describe(saved.error());
  if (problem == state_.file_problem) return;
  if (!problem.empty()) log::error("last good resources: {}", problem);
  state_.file_problem = problem;
  is_state_new_ = true;
  notify_soon();
}

}  // namespace mooring::discovery
