// HTTP/1 server side: bytes in, requests out (RFC 9112, llhttp in strict mode). No socket, no
// clock, no thread. What is ambiguous is refused, so that no one in front of us can read a request
// differently than we do: bare CR or LF, folded lines, Content-Length with Transfer-Encoding, no or
// several Host fields.
#pragma once

#include <cstddef>
#include <memory>

#include "core/buffer.h"
#include "core/result.h"
#include "http/message.h"

namespace mooring::http {

/// Longest request head, in bytes; beyond it 431 (RFC 6585 §5).
inline constexpr std::size_t kMaxHeadBytes = 32 * 1024;
/// Longest request body after decoding; beyond it 413.
inline constexpr std::size_t kMaxBodyBytes = 64 * 1024;
/// Longest request body as sent: chunks of one byte cost six, and extensions and trailers must end
/// somewhere.
inline constexpr std::size_t kMaxRawBodyBytes = 8 * kMaxBodyBytes;

class H1Events {
 public:
  virtual ~H1Events() = default;
  /// A whole request. Called within feed().
  virtual void on_request(Request request) = 0;
};

struct Fed {
  std::size_t consumed = 0;
  bool need_more = false;  // false: a request ended; what was not consumed belongs to the next one

  friend bool operator==(const Fed&, const Fed&) = default;
};

class H1Codec {
 public:
  H1Codec();
  ~H1Codec();
  H1Codec(const H1Codec&) = delete;
  H1Codec& operator=(const H1Codec&) = delete;

  /// Consumes up to the end of one request, so that a pipelining client waits for each answer. An
  /// Error's detail is the HTTP status to answer with; after it the connection is to be closed.
  [[nodiscard]] Result<Fed> feed(Bytes in, H1Events& events);

  /// True before the first byte of a request.
  [[nodiscard]] bool is_idle() const noexcept;

 private:
  class Parser;
  std::unique_ptr<Parser> parser_;
};

/// Client side, for one answer that ended with its connection. Fails for anything else.
[[nodiscard]] Result<Response> parse_response(std::string_view whole, bool to_head_request);

}  // namespace mooring::http
