#include "http/h2_session.h"

#include <nghttp2/nghttp2.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "core/free_by.h"

namespace mooring::http {

namespace {

// Beyond these the peer only makes work: acknowledgements that it does not read, settings in one
// frame.
constexpr std::size_t kMaxAcks = 100;
constexpr std::size_t kMaxSettings = 32;
// Of one field (RFC 9113 §6.5.2).
constexpr std::size_t kFieldOverhead = 32;

using SessionPtr = std::unique_ptr<nghttp2_session, FreeBy<nghttp2_session_del>>;
using CallbacksPtr =
    std::unique_ptr<nghttp2_session_callbacks, FreeBy<nghttp2_session_callbacks_del>>;
using OptionPtr = std::unique_ptr<nghttp2_option, FreeBy<nghttp2_option_del>>;

std::string_view text(nghttp2_rcbuf* buffer) noexcept {
  const nghttp2_vec bytes = nghttp2_rcbuf_get_buf(buffer);
  return {reinterpret_cast<const char*>(bytes.base), bytes.len};
}

nghttp2_nv field(const Header& header) noexcept {
  // Secrets, and what changes with every stream, must not get into the peer's compression table.
  const std::uint8_t flags =
      header.name == "authorization" ? NGHTTP2_NV_FLAG_NO_INDEX : NGHTTP2_NV_FLAG_NONE;
  return {reinterpret_cast<std::uint8_t*>(const_cast<char*>(header.name.data())),
          reinterpret_cast<std::uint8_t*>(const_cast<char*>(header.value.data())),
          header.name.size(),
          header.value.size(),
          flags};
}

struct Stream {
  std::vector<Header> headers;  // of the block that comes in
  std::size_t header_bytes = 0;
  bool has_response = false;
  std::string out;  // from out_sent on
  std::size_t out_sent = 0;
  bool is_ended = false;     // by us
  bool is_deferred = false;  // nghttp2 waits for bytes of ours
  bool was_high = false;
  std::size_t unconsumed = 0;

  [[nodiscard]] std::size_t unsent() const noexcept { return out.size() - out_sent; }
};

}  // namespace

struct H2Session::Impl {
  Impl(const H2Limits& its_limits, H2Events& its_events)
      : limits(its_limits), events(its_events), session(make()) {}

  SessionPtr make();
  static CallbacksPtr make_callbacks();
  Stream* find(StreamId id) noexcept {
    const auto found = streams.find(id);
    return found == streams.end() ? nullptr : &found->second;
  }
  int on_header(StreamId id, std::string_view name, std::string_view value);
  void on_header_block(StreamId id, bool is_end);
  void on_frame(const nghttp2_frame& frame);
  void refuse_after(StreamId last);
  void on_data(StreamId id, Bytes bytes);
  void on_close(StreamId id, std::uint32_t error);
  ssize_t read(StreamId id, std::span<std::uint8_t> to, std::uint32_t& flags);

  H2Limits limits;
  H2Events& events;
  std::unordered_map<StreamId, Stream> streams;
  bool has_settings = false;
  bool is_going_away = false;
  SessionPtr session;  // its deletion closes streams without a callback
};

SessionPtr H2Session::Impl::make() {
  nghttp2_option* raw_option = nullptr;
  AGENT_CHECK(nghttp2_option_new(&raw_option) == 0);
  const OptionPtr option(raw_option);
  nghttp2_option_set_no_auto_window_update(option.get(), 1);
  nghttp2_option_set_no_closed_streams(option.get(), 1);
  nghttp2_option_set_max_outbound_ack(option.get(), kMaxAcks);
  nghttp2_option_set_max_settings(option.get(), kMaxSettings);
  const CallbacksPtr callbacks = make_callbacks();
  nghttp2_session* raw = nullptr;
  AGENT_CHECK(nghttp2_session_client_new2(&raw, callbacks.get(), this, option.get()) == 0);
  SessionPtr made(raw);
  const std::array settings{
      nghttp2_settings_entry{NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
      nghttp2_settings_entry{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, limits.stream_window},
      nghttp2_settings_entry{NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE,
                             static_cast<std::uint32_t>(limits.header_bytes)}};
  const auto window = static_cast<std::int32_t>(limits.connection_window);
  AGENT_CHECK(nghttp2_submit_settings(raw, NGHTTP2_FLAG_NONE, settings.data(), settings.size()) ==
                  0 &&
              nghttp2_session_set_local_window_size(raw, NGHTTP2_FLAG_NONE, 0, window) == 0);
  return made;
}

CallbacksPtr H2Session::Impl::make_callbacks() {
  nghttp2_session_callbacks* raw = nullptr;
  AGENT_CHECK(nghttp2_session_callbacks_new(&raw) == 0);
  nghttp2_session_callbacks_set_on_header_callback2(
      raw,
      [](nghttp2_session*,
         const nghttp2_frame* frame,
         nghttp2_rcbuf* name,
         nghttp2_rcbuf* value,
         std::uint8_t,
         void* self) noexcept {
        return static_cast<Impl*>(self)->on_header(frame->hd.stream_id, text(name), text(value));
      });
  nghttp2_session_callbacks_set_on_frame_recv_callback(
      raw, [](nghttp2_session*, const nghttp2_frame* frame, void* self) noexcept {
        static_cast<Impl*>(self)->on_frame(*frame);
        return 0;
      });
  nghttp2_session_callbacks_set_on_data_chunk_recv_callback(
      raw,
      [](nghttp2_session*,
         std::uint8_t,
         std::int32_t id,
         const std::uint8_t* data,
         std::size_t count,
         void* self) noexcept {
        static_cast<Impl*>(self)->on_data(id, std::as_bytes(std::span(data, count)));
        return 0;
      });
  nghttp2_session_callbacks_set_on_stream_close_callback(
      raw, [](nghttp2_session*, std::int32_t id, std::uint32_t error, void* self) noexcept {
        static_cast<Impl*>(self)->on_close(id, error);
        return 0;
      });
  // A stream that waited for its turn when the peer said GOAWAY, or when it was reset.
  nghttp2_session_callbacks_set_on_frame_not_send_callback(
      raw, [](nghttp2_session*, const nghttp2_frame* frame, int, void* self) noexcept {
        if (frame->hd.type == NGHTTP2_HEADERS)
          static_cast<Impl*>(self)->on_close(frame->hd.stream_id, kH2RefusedStream);
        return 0;
      });
  return CallbacksPtr(raw);
}

int H2Session::Impl::on_header(StreamId id, std::string_view name, std::string_view value) {
  Stream* stream = find(id);
  if (stream == nullptr) return 0;
  stream->header_bytes += name.size() + value.size() + kFieldOverhead;
  // Resets the stream; the rest of the block is decoded and dropped.
  if (stream->header_bytes > limits.header_bytes) return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
  stream->headers.push_back({std::string(name), std::string(value)});
  return 0;
}

void H2Session::Impl::on_header_block(StreamId id, bool is_end) {
  Stream* stream = find(id);
  if (stream == nullptr) return;
  std::vector<Header> headers = std::exchange(stream->headers, {});
  stream->header_bytes = 0;
  // nghttp2 has checked that a block begins with :status or is the trailers.
  const bool is_response = !headers.empty() && headers.front().name == ":status";
  if (is_response && headers.front().value.starts_with('1')) return;
  if (!is_response && !is_end) return;
  stream->has_response = true;
  if (is_response) {
    events.on_headers(id, std::move(headers));
  } else {
    events.on_trailers(id, std::move(headers));
  }
}

void H2Session::Impl::on_frame(const nghttp2_frame& frame) {
  const StreamId id = frame.hd.stream_id;
  const bool is_end = (frame.hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
  switch (frame.hd.type) {
    case NGHTTP2_HEADERS:
      on_header_block(id, is_end);
      [[fallthrough]];
    case NGHTTP2_DATA:
      if (is_end && find(id) != nullptr) events.on_end(id);
      return;
    case NGHTTP2_SETTINGS:
      if ((frame.hd.flags & NGHTTP2_FLAG_ACK) == 0 && !std::exchange(has_settings, true))
        events.on_settings();
      return;
    case NGHTTP2_GOAWAY:
      is_going_away = true;
      events.on_goaway(frame.goaway.error_code, frame.goaway.last_stream_id);
      return refuse_after(frame.goaway.last_stream_id);
    default:  // a type of the peer's choice; nghttp2 has acted on those that mean something
      return;
  }
}

// Also those that nghttp2 holds back because the peer allows no more streams: it would not tell.
void H2Session::Impl::refuse_after(StreamId last) {
  std::vector<StreamId> refused;
  for (const auto& [id, stream] : streams)
    if (id > last) refused.push_back(id);
  std::sort(refused.begin(), refused.end());
  for (const StreamId id : refused)
    on_close(id, kH2RefusedStream);
}

void H2Session::Impl::on_data(StreamId id, Bytes bytes) {
  Stream* stream = find(id);
  if (stream == nullptr) {
    nghttp2_session_consume_connection(session.get(), bytes.size());
    return;
  }
  stream->unconsumed += bytes.size();
  events.on_data(id, bytes);
}

void H2Session::Impl::on_close(StreamId id, std::uint32_t error) {
  const auto found = streams.find(id);
  if (found == streams.end()) return;
  // Nobody can consume it any more: without this the connection's window would shrink for good.
  nghttp2_session_consume_connection(session.get(), found->second.unconsumed);
  streams.erase(found);
  events.on_closed(id, error);
}

ssize_t H2Session::Impl::read(StreamId id, std::span<std::uint8_t> to, std::uint32_t& flags) {
  Stream* stream = find(id);
  if (stream == nullptr) return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
  const std::size_t count = std::min(to.size(), stream->unsent());
  if (count == 0 && !stream->is_ended) {
    stream->is_deferred = true;
    return NGHTTP2_ERR_DEFERRED;
  }
  if (count > 0) std::memcpy(to.data(), stream->out.data() + stream->out_sent, count);
  stream->out_sent += count;
  if (stream->unsent() > 0) {
    // Moved seldom, so that a long queue is not moved for every frame.
    if (stream->out_sent > stream->out.size() / 2)
      stream->out.erase(0, std::exchange(stream->out_sent, 0));
    return static_cast<ssize_t>(count);
  }
  std::string().swap(stream->out);
  stream->out_sent = 0;
  if (stream->is_ended) flags |= NGHTTP2_DATA_FLAG_EOF;
  if (std::exchange(stream->was_high, false)) events.on_drained(id);
  return static_cast<ssize_t>(count);
}

H2Session::H2Session(const H2Limits& limits, H2Events& events)
    : impl_(std::make_unique<Impl>(limits, events)) {}
H2Session::~H2Session() = default;

Result<StreamId> H2Session::open(const std::vector<Header>& headers) {
  if (impl_->is_going_away) return fail(Errc::closed, "open");
  const bool is_valid = std::all_of(headers.begin(), headers.end(), [](const Header& header) {
    return nghttp2_check_header_value(reinterpret_cast<const std::uint8_t*>(header.value.data()),
                                      header.value.size()) != 0;
  });
  if (!is_valid) return fail(Errc::bad_input, "header value");
  std::vector<nghttp2_nv> fields;
  fields.reserve(headers.size());
  for (const Header& header : headers)
    fields.push_back(field(header));
  nghttp2_data_provider provider{};
  provider.read_callback = [](nghttp2_session*,
                              std::int32_t id,
                              std::uint8_t* to,
                              std::size_t room,
                              std::uint32_t* flags,
                              nghttp2_data_source*,
                              void* self) noexcept {
    return static_cast<Impl*>(self)->read(id, {to, room}, *flags);
  };
  const StreamId id = nghttp2_submit_request(
      impl_->session.get(), nullptr, fields.data(), fields.size(), &provider, nullptr);
  if (id < 0) return fail(Errc::closed, "open", id);
  impl_->streams.emplace(id, Stream{});
  return id;
}

Pressure H2Session::send(StreamId id, Bytes bytes, bool is_end) {
  Stream* stream = impl_->find(id);
  if (stream == nullptr || stream->is_ended) return Pressure::low;
  stream->out.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  stream->is_ended = is_end;
  if (std::exchange(stream->is_deferred, false))
    nghttp2_session_resume_data(impl_->session.get(), id);
  if (stream->unsent() < impl_->limits.high_water) return Pressure::low;
  stream->was_high = true;
  return Pressure::high;
}

void H2Session::reset(StreamId id, std::uint32_t error) {
  if (impl_->find(id) == nullptr) return;
  nghttp2_submit_rst_stream(impl_->session.get(), NGHTTP2_FLAG_NONE, id, error);
}

void H2Session::consume(StreamId id, std::size_t count) {
  Stream* stream = impl_->find(id);
  if (stream == nullptr) return;  // on_close() has done it
  AGENT_CHECK(count <= stream->unconsumed);
  stream->unconsumed -= count;
  nghttp2_session_consume(impl_->session.get(), id, count);
}

std::size_t H2Session::unsent(StreamId id) const noexcept {
  const Stream* stream = impl_->find(id);
  return stream == nullptr ? 0 : stream->unsent();
}

void H2Session::ping() {
  nghttp2_submit_ping(impl_->session.get(), NGHTTP2_FLAG_NONE, nullptr);
}

void H2Session::close() {
  impl_->is_going_away = true;
  nghttp2_session_terminate_session(impl_->session.get(), NGHTTP2_NO_ERROR);
}

Result<void> H2Session::feed(Bytes bytes) {
  const ssize_t taken = nghttp2_session_mem_recv(
      impl_->session.get(), reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
  if (taken < 0) return fail(Errc::bad_input, "HTTP/2", static_cast<int>(taken));
  return {};
}

Bytes H2Session::output() {
  const std::uint8_t* data = nullptr;
  const ssize_t count = nghttp2_session_mem_send(impl_->session.get(), &data);
  // A failure here is want of memory, or the session's own end.
  if (count <= 0) return {};
  return std::as_bytes(std::span(data, static_cast<std::size_t>(count)));
}

bool H2Session::is_finished() const noexcept {
  return nghttp2_session_want_read(impl_->session.get()) == 0 &&
         nghttp2_session_want_write(impl_->session.get()) == 0;
}

}  // namespace mooring::http
