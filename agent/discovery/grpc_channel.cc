#include "discovery/grpc_channel.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "discovery/grpc_call.h"

namespace mooring::discovery {

namespace {

using http::GrpcCode;
using http::StreamId;

// Handed to the transport at a time, and waiting in it at most: what waits in the session is
// bounded by its windows and by the callers' respect for `high`.
constexpr std::size_t kWriteBytes = std::size_t{64} * 1024;
constexpr std::size_t kMaxQueued = std::size_t{256} * 1024;

}  // namespace

Result<std::unique_ptr<GrpcChannel>> GrpcChannel::make(Loop& loop,
                                                       net::StreamPool& pool,
                                                       tls::Scratch& scratch,
                                                       const Clock& clock,
                                                       GrpcChannelOptions options) {
  if (options.targets.empty()) return fail(Errc::bad_input, "no address");
  std::unique_ptr<tls::Context> tls;
  const bool needs_tls = std::any_of(options.targets.begin(),
                                     options.targets.end(),
                                     [](const Target& t) { return t.unix_path.empty(); });
  if (needs_tls) {
    auto made = tls::Context::make_by_host(options.ca_pem, scratch, clock);
    if (!made) return fail(made.error());
    tls = std::move(*made);
  }
  return std::make_unique<GrpcChannel>(loop, pool, std::move(tls), std::move(options));
}

GrpcChannel::GrpcChannel(Loop& loop,
                         net::StreamPool& pool,
                         std::unique_ptr<tls::Context> tls,
                         GrpcChannelOptions options)
    : loop_(loop),
      pool_(pool),
      tls_(std::move(tls)),
      options_(std::move(options)),
      turn_(loop, [this] { turn(); }),
      tick_(loop, [this] { tick(); }),
      retry_(loop, [this] { connect(); }) {}

GrpcChannel::~GrpcChannel() {
  stop();
}

void GrpcChannel::start() {
  if (phase_ == Phase::stopped) connect();
}

void GrpcChannel::stop() {
  drop_connection();
  while (!calls_.empty())
    retire(calls_.begin()->first);
  phase_ = Phase::stopped;
  retry_.stop();
  tick_.stop();
}

// ---- the connection

void GrpcChannel::connect() {
  const Target& target = options_.targets[target_];
  phase_ = Phase::connecting;
  since_ms_ = loop_.now_ms();
  is_useful_ = false;
  state_.address =
      target.unix_path.empty() ? target.address.to_string() : "unix:" + target.unix_path;
  transport_ =
      std::make_unique<Transport>(loop_, pool_, tls_.get(), options_.connect_timeout, *this);
  transport_->start(target);
}

void GrpcChannel::on_connected() {
  phase_ = Phase::settling;
  since_ms_ = heard_ms_ = loop_.now_ms();
  pinged_ms_ = 0;
  session_ = std::make_unique<http::H2Session>(http::H2Limits{}, *this);
  const Milliseconds step =
      std::min({Milliseconds(1000), options_.ping_timeout / 4, options_.connect_timeout / 4});
  tick_.start(step, step);
  turn_.start(Milliseconds(0));
}

void GrpcChannel::on_settings() {
  if (phase_ != Phase::settling) return;
  phase_ = Phase::ready;
  since_ms_ = loop_.now_ms();
  state_.is_connected = true;
  ++state_.connects;
}

void GrpcChannel::on_bytes(Bytes bytes) {
  if (!session_) return;
  heard_ms_ = loop_.now_ms();
  pinged_ms_ = 0;
  const auto fed = session_->feed(bytes);
  pump();  // what tells the peer why
  if (!fed || (session_ && session_->is_finished())) {
    return lose(phase_ == Phase::draining ? state_.last_error : "the server broke HTTP/2");
  }
  turn_.start(Milliseconds(0));
}

void GrpcChannel::on_goaway(std::uint32_t error, StreamId) {
  if (phase_ != Phase::settling && phase_ != Phase::ready) return;
  state_.last_error = "GOAWAY, HTTP/2 error " + std::to_string(error);
  phase_ = Phase::draining;
  since_ms_ = loop_.now_ms();
}

void GrpcChannel::on_drained() {
  turn_.start(Milliseconds(0));
}

void GrpcChannel::on_failed(const std::string& why) {
  lose(why);
}

void GrpcChannel::drop_connection() {
  tick_.stop();
  state_.is_connected = false;
  by_stream_.clear();
  if (session_) retired_sessions_.push_back(std::move(session_));
  if (transport_) {
    transport_->close();
    retired_transports_.push_back(std::move(transport_));
  }
  turn_.start(Milliseconds(0));
}

void GrpcChannel::lose(const std::string& why) {
  if (!transport_) return;
  ++state_.failures;
  state_.last_error = why;
  const auto lived = loop_.now_ms() - since_ms_;
  const bool was_good =
      is_useful_ ||
      (state_.is_connected && lived >= static_cast<std::uint64_t>(options_.backoff_cap.count()));
  drop_connection();
  if (was_good) {
    backoff_.reset();
    failed_targets_ = 0;
    wait_before_next();
  } else {
    target_ = (target_ + 1) % options_.targets.size();
    if (++failed_targets_ >= options_.targets.size()) {
      failed_targets_ = 0;
      wait_before_next();
    } else {
      phase_ = Phase::waiting;
      retry_.start(Milliseconds(0));
    }
  }
  std::vector<CallId> lost;
  for (const auto& [id, call] : calls_)
    if (call->stream != 0) lost.push_back(id);
  for (const CallId id : lost)
    finish(id, {GrpcCode::unavailable, why});
}

void GrpcChannel::wait_before_next() {
  phase_ = Phase::waiting;
  retry_.start(backoff_.next(options_.backoff_base, options_.backoff_cap));
}

// ---- once a turn

void GrpcChannel::turn() {
  retired_calls_.clear();
  retired_sessions_.clear();
  retired_transports_.clear();
  for (const CallId id : std::exchange(overflowed_, {}))
    finish(id, {GrpcCode::resource_exhausted, "more to send than the server takes"});
  if (phase_ == Phase::draining && by_stream_.empty()) return lose(state_.last_error);
  if (phase_ == Phase::ready) open_waiting();
  pump();
}

void GrpcChannel::pump() {
  std::string out;
  while (session_ && transport_->queued() < kMaxQueued) {
    const Bytes bytes = session_->output();
    out.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    if (out.size() < kWriteBytes && !bytes.empty()) continue;
    if (out.empty() || !transport_) return;
    transport_->write(std::as_bytes(std::span(out)));
    if (bytes.empty()) return;
    out.clear();
  }
}

void GrpcChannel::tick() {
  const std::uint64_t now = loop_.now_ms();
  const auto passed = [now](std::uint64_t since, Milliseconds span) {
    return now - since >= static_cast<std::uint64_t>(span.count());
  };
  if (phase_ == Phase::settling && passed(since_ms_, options_.connect_timeout))
    return lose("the server does not answer in HTTP/2");
  if (phase_ == Phase::draining && passed(since_ms_, options_.stall_timeout))
    return lose(state_.last_error);
  if (pinged_ms_ != 0 && passed(pinged_ms_, options_.ping_timeout))
    return lose("the server gives no sign of life");
  if (pinged_ms_ == 0 && passed(heard_ms_, options_.ping_after)) {
    pinged_ms_ = now;
    session_->ping();
  }
  tick_calls(now);
  turn_.start(Milliseconds(0));
}

}  // namespace mooring::discovery
