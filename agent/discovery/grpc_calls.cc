// The channel's calls: from their first header to their last event.
#include <utility>

#include "discovery/grpc_call.h"

namespace mooring::discovery {

using http::GrpcCode;
using http::GrpcStatus;
using http::Pressure;
using http::StreamId;

Pressure GrpcCall::send(Bytes message) {
  return channel_.send(id_, message);
}
void GrpcCall::half_close() {
  channel_.half_close(id_);
}
void GrpcCall::cancel() {
  channel_.cancel(id_);
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

void GrpcChannel::tick_calls(std::uint64_t now) {
  std::vector<CallId> stalled;
  for (const auto& [id, call] : calls_) {
    if (call->stream == 0) continue;
    const std::size_t sent = call->taken - session_->unsent(call->stream);
    if (sent == call->taken || sent != call->sent) call->moved_ms = now;
    call->sent = sent;
    if (now - call->moved_ms >= static_cast<std::uint64_t>(options_.stall_timeout.count()))
      stalled.push_back(id);
  }
  for (const CallId id : stalled)
    finish(id, {GrpcCode::unavailable, "the server does not read"});
}

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
  session_->consume(stream, bytes.size());
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
  call->handler.on_drained();
}

void GrpcChannel::end_if_over(Call& call) {
  const auto& status = call.receiver.status();
  if (status) finish(call.id, *status);
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
  if (session_->unsent(call.stream) > options_.max_message) {
    overflowed_.push_back(id);
    turn_.start(Milliseconds(0));
    return Pressure::high;
  }
  const std::string prefix = http::encode_grpc_prefix(message.size());
  session_->send(call.stream, std::as_bytes(std::span(prefix)), false);
  const Pressure pressure = session_->send(call.stream, message, false);
  call.taken += prefix.size() + message.size();
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
