#include "discovery/grpc_channel.h"

#include <algorithm>
#include <string_view>
#include <utility>

namespace mooring::discovery {

namespace {

using http::GrpcCode;
using http::GrpcStatus;
using http::Pressure;
using http::StreamId;

// Handed to the transport at a time, and waiting in it at most: what waits in the session is
// bounded by its windows and by the callers' respect for `high`.
constexpr std::size_t kWriteBytes = std::size_t{64} * 1024;
constexpr std::size_t kMaxQueued = std::size_t{256} * 1024;

}  // namespace

struct GrpcChannel::Call {
  CallId id = 0;
  std::string path;
  Metadata metadata;
  GrpcHandler& handler;
  http::GrpcReceiver receiver;
  StreamId stream = 0;         // 0: waits for a connection
  bool is_high = false;        // our side; then what comes in is not consumed
  std::size_t held = 0;        // not consumed for that reason
  std::size_t unsent = 0;      // at the last tick
  std::uint64_t moved_ms = 0;  // when the peer last took something, or had taken all
};

Pressure GrpcCall::send(Bytes message) {
  return channel_.send(id_, message);
}
void GrpcCall::half_close() {
  channel_.half_close(id_);
}
void GrpcCall::cancel() {
  channel_.cancel(id_);
}

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
      random_(std::random_device{}()),
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

std::unique_ptr<GrpcCall> GrpcChannel::open(std::string path,
                                            Metadata metadata,
                                            GrpcHandler& handler) {
  const CallId id = ++last_call_;
  calls_.emplace(
      id,
      std::make_unique<Call>(Call{.id = id,
                                  .path = std::move(path),
                                  .metadata = std::move(metadata),
                                  .handler = handler,
                                  .receiver = http::GrpcReceiver(options_.max_message)}));
  turn_.start(Milliseconds(0));
  return std::make_unique<GrpcCall>(*this, id);
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

void GrpcChannel::lose(std::string why) {
  if (!transport_) return;
  ++state_.failures;
  state_.last_error = why;
  const auto lived = loop_.now_ms() - since_ms_;
  const bool was_good =
      is_useful_ ||
      (state_.is_connected && lived >= static_cast<std::uint64_t>(options_.backoff_cap.count()));
  drop_connection();
  if (was_good) {
    rounds_ = 0;
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

// Between half and all of what doubles with every round: never none.
void GrpcChannel::wait_before_next() {
  const auto cap = options_.backoff_cap.count();
  const auto full = std::min(cap, options_.backoff_base.count() << std::min(rounds_, 16U));
  ++rounds_;
  std::uniform_int_distribution<std::int64_t> spread(full / 2, full);
  phase_ = Phase::waiting;
  retry_.start(Milliseconds(spread(random_)));
}

// ---- once a turn

void GrpcChannel::turn() {
  retired_calls_.clear();
  retired_sessions_.clear();
  retired_transports_.clear();
  if (phase_ == Phase::draining && by_stream_.empty()) return lose(state_.last_error);
  if (phase_ == Phase::ready) open_waiting();
  pump();
}

void GrpcChannel::open_waiting() {
  std::vector<CallId> waiting;
  for (const auto& [id, call] : calls_)
    if (call->stream == 0) waiting.push_back(id);
  for (const CallId id : waiting) {
    const auto found = calls_.find(id);  // a handler may have cancelled it meanwhile
    if (found != calls_.end() && phase_ == Phase::ready) open_call(id, *found->second);
  }
}

void GrpcChannel::open_call(CallId id, Call& call) {
  const auto stream = session_->open(request_headers(call));
  if (!stream && stream.error().code == Errc::bad_input)
    return finish(id, {GrpcCode::internal, "metadata that HTTP/2 cannot carry"});
  if (!stream) return lose("no more streams on this connection");
  call.stream = *stream;
  call.moved_ms = loop_.now_ms();
  by_stream_.emplace(*stream, id);
  call.handler.on_open();
}

std::vector<http::Header> GrpcChannel::request_headers(const Call& call) const {
  const Target& target = options_.targets[target_];
  const bool is_unix = !target.unix_path.empty();
  std::vector<http::Header> headers{
      {":method", "POST"},
      {":scheme", is_unix ? "http" : "https"},
      {":path", call.path},
      {":authority", is_unix ? "localhost" : target.address.to_string()},
      {"te", "trailers"},
      {"content-type", "application/grpc"},
      {"user-agent", "mooring/" MOORING_VERSION}};
  if (call.metadata) {
    for (http::Header& header : call.metadata())
      headers.push_back(std::move(header));
  }
  return headers;
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

void GrpcChannel::tick_calls(std::uint64_t now) {
  std::vector<CallId> stalled;
  for (const auto& [id, call] : calls_) {
    const std::size_t unsent = call->stream == 0 ? 0 : session_->unsent(call->stream);
    if (unsent == 0 || unsent < call->unsent) call->moved_ms = now;
    call->unsent = unsent;
    if (now - call->moved_ms >= static_cast<std::uint64_t>(options_.stall_timeout.count()))
      stalled.push_back(id);
  }
  for (const CallId id : stalled)
    finish(id, {GrpcCode::unavailable, "the server does not read"});
}

// ---- calls

GrpcChannel::Call* GrpcChannel::find(StreamId stream) noexcept {
  const auto found = by_stream_.find(stream);
  return found == by_stream_.end() ? nullptr : calls_.at(found->second).get();
}

void GrpcChannel::on_headers(StreamId stream, std::vector<http::Header> headers) {
  Call* call = find(stream);
  if (call == nullptr) return;
  call->receiver.on_headers(headers);
  end_if_over(*call);
}

void GrpcChannel::on_data(StreamId stream, Bytes bytes) {
  Call* call = find(stream);
  if (call == nullptr) {
    if (session_) session_->consume(stream, bytes.size());
    return;
  }
  const CallId id = call->id;
  call->receiver.on_data(bytes, [&](Bytes message) {
    is_useful_ = true;
    call->handler.on_message(message);
    return calls_.contains(id);
  });
  if (!calls_.contains(id)) return;  // retired, and its stream reset
  if (call->is_high) {
    call->held += bytes.size();
  } else {
    session_->consume(stream, bytes.size());
  }
  end_if_over(*call);
}

void GrpcChannel::on_trailers(StreamId stream, std::vector<http::Header> trailers) {
  if (Call* call = find(stream)) call->receiver.on_trailers(trailers);
}

void GrpcChannel::on_end(StreamId stream) {
  Call* call = find(stream);
  if (call == nullptr) return;
  call->receiver.on_end();
  end_if_over(*call);
}

void GrpcChannel::on_closed(StreamId stream, std::uint32_t error) {
  Call* call = find(stream);
  if (call == nullptr) return;
  call->receiver.on_reset(error);
  end_if_over(*call);
}

void GrpcChannel::on_drained(StreamId stream) {
  Call* call = find(stream);
  if (call == nullptr) return;
  call->is_high = false;
  session_->consume(stream, std::exchange(call->held, 0));
  call->handler.on_drained();
}

void GrpcChannel::end_if_over(Call& call) {
  if (call.receiver.status()) finish(call.id, *call.receiver.status());
}

void GrpcChannel::finish(CallId id, const GrpcStatus& status) {
  Call* call = retire(id);
  if (call != nullptr) call->handler.on_end(status);
}

GrpcChannel::Call* GrpcChannel::retire(CallId id) {
  const auto found = calls_.find(id);
  if (found == calls_.end()) return nullptr;
  Call& call = *found->second;
  by_stream_.erase(call.stream);
  if (call.stream != 0 && session_) session_->reset(call.stream, http::kH2Cancel);
  retired_calls_.push_back(std::move(found->second));
  calls_.erase(found);
  turn_.start(Milliseconds(0));
  return &call;
}

Pressure GrpcChannel::send(CallId id, Bytes message) {
  const auto found = calls_.find(id);
  if (found == calls_.end() || found->second->stream == 0 || !session_) return Pressure::low;
  Call& call = *found->second;
  const std::string prefix = http::encode_grpc_prefix(message.size());
  session_->send(call.stream, std::as_bytes(std::span(prefix)), false);
  const Pressure pressure = session_->send(call.stream, message, false);
  call.is_high = pressure == Pressure::high;
  turn_.start(Milliseconds(0));
  return pressure;
}

void GrpcChannel::half_close(CallId id) {
  const auto found = calls_.find(id);
  if (found == calls_.end() || found->second->stream == 0 || !session_) return;
  session_->send(found->second->stream, {}, true);
  turn_.start(Milliseconds(0));
}

void GrpcChannel::cancel(CallId id) {
  retire(id);
}

}  // namespace mooring::discovery
