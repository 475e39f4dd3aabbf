// The client's end of one HTTP/2 connection (RFC 9113, nghttp2): bytes in, events out. No socket,
// no clock, no thread. What it holds is bounded by its limits and by the owner, who stops sending
// where send() answers `high`.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/buffer.h"
#include "core/result.h"
#include "http/message.h"

namespace mooring::http {

using StreamId = std::int32_t;

/// Error codes that are looked at or sent (RFC 9113 §7).
enum H2Error : std::uint32_t {
  kH2NoError = 0x0,
  kH2Protocol = 0x1,
  kH2Internal = 0x2,
  kH2RefusedStream = 0x7,
  kH2Cancel = 0x8,
  kH2EnhanceYourCalm = 0xb,
  kH2InadequateSecurity = 0xc,
};

struct H2Limits {
  /// Of one block of headers or trailers: names, values, and 32 for each field (RFC 9113 §6.5.2).
  /// The longest that means something to us is a grpc-message.
  std::size_t header_bytes = 64 * 1024;
  /// What the peer may send on one stream, and on all, before the owner has consumed it.
  std::uint32_t stream_window = 256 * 1024;
  std::uint32_t connection_window = 1024 * 1024;
  /// Unsent bytes of a stream from which on send() answers `high`.
  std::size_t high_water = 256 * 1024;
};

enum class Pressure : std::uint8_t { low, high };

/// Called within feed() and output(). Streams may be opened, sent on and reset in them; feed(),
/// output() and the session's destruction are not for here.
class H2Events {
 public:
  /// The peer's first SETTINGS: it speaks HTTP/2.
  virtual void on_settings() = 0;
  /// The final response, `:status` among its fields; informational ones are skipped.
  virtual void on_headers(StreamId stream, std::vector<Header> headers) = 0;
  /// To be answered by consume(), now or later: the peer's window opens only by that.
  virtual void on_data(StreamId stream, Bytes bytes) = 0;
  virtual void on_trailers(StreamId stream, std::vector<Header> trailers) = 0;
  /// The peer has sent everything; on_closed() follows when we have, too.
  virtual void on_end(StreamId stream) = 0;
  /// Last event of a stream: by its end on both sides (kH2NoError), or by a reset of either side.
  virtual void on_closed(StreamId stream, std::uint32_t error) = 0;
  /// Everything has been handed out, after send() answered `high`.
  virtual void on_drained(StreamId stream) = 0;
  virtual void on_goaway(std::uint32_t error, StreamId last_stream) = 0;

 protected:
  ~H2Events() = default;
};

class H2Session {
 public:
  H2Session(const H2Limits& limits, H2Events& events);
  ~H2Session();
  H2Session(const H2Session&) = delete;
  H2Session& operator=(const H2Session&) = delete;

  /// Fails with bad_input for a value that is none (a line end in it, say), and with closed once
  /// the peer said GOAWAY or all numbers are used: a new connection is needed. Where the peer
  /// allows no more streams now, the stream waits.
  [[nodiscard]] Result<StreamId> open(const std::vector<Header>& headers);
  /// Takes all of `bytes`. Nothing happens on a stream that is closed or was ended.
  Pressure send(StreamId stream, Bytes bytes, bool is_end);
  void reset(StreamId stream, std::uint32_t error);
  void consume(StreamId stream, std::size_t count);
  /// Bytes of the stream that are not handed out yet, be it for want of window.
  [[nodiscard]] std::size_t unsent(StreamId stream) const noexcept;
  void ping();
  /// GOAWAY: no error, no more streams.
  void close();

  /// All of it. Fails when the peer broke the protocol or floods; what output() still gives then
  /// tells it so.
  [[nodiscard]] Result<void> feed(Bytes bytes);
  /// The next bytes for the peer, at most a frame; none: nothing to send now. Valid until the next
  /// call.
  [[nodiscard]] Bytes output();
  /// The connection has come to its end.
  [[nodiscard]] bool is_finished() const noexcept;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace mooring::http
