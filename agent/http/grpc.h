// gRPC over HTTP/2, the parts that are bytes and fields: framing of messages, and how a call ends.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/buffer.h"
#include "core/result.h"
#include "http/message.h"

namespace mooring::http {

/// Status codes of gRPC; what is not among them is `unknown`.
enum class GrpcCode : std::uint8_t {
  ok = 0,
  cancelled = 1,
  unknown = 2,
  invalid_argument = 3,
  deadline_exceeded = 4,
  not_found = 5,
  already_exists = 6,
  permission_denied = 7,
  resource_exhausted = 8,
  failed_precondition = 9,
  aborted = 10,
  out_of_range = 11,
  unimplemented = 12,
  internal = 13,
  unavailable = 14,
  data_loss = 15,
  unauthenticated = 16,
};
[[nodiscard]] const char* to_string(GrpcCode code) noexcept;

/// How a call ended. `message` is the peer's text or ours: to be escaped before it is logged.
struct GrpcStatus {
  GrpcCode code = GrpcCode::unknown;
  std::string message{};

  friend bool operator==(const GrpcStatus&, const GrpcStatus&) = default;
};

/// Longest message taken, in bytes. 10,000 services need 50 MB of clusters in the first response of
/// a delta stream (5 KB each); gRPC's usual 4 MiB would end at 800. What was announced and has not
/// come takes no memory.
inline constexpr std::size_t kMaxGrpcMessage = std::size_t{64} * 1024 * 1024;
inline constexpr std::size_t kGrpcPrefixBytes = 5;

/// The prefix that goes before a message of that many bytes, not compressed.
[[nodiscard]] std::string encode_grpc_prefix(std::size_t message_bytes);

/// Percent-encoded text of grpc-message; what is broken stays as it is.
[[nodiscard]] std::string decode_grpc_message(std::string_view encoded);

/// For an answer that is not of a gRPC server (its mapping of HTTP status codes).
[[nodiscard]] GrpcCode code_of_http_status(int status) noexcept;
/// For a stream that was reset.
[[nodiscard]] GrpcCode code_of_h2_error(std::uint32_t error) noexcept;

/// The peer's side of one call: its headers, messages and trailers as they come, in any pieces.
/// Once a status is known nothing more is taken.
class GrpcReceiver {
 public:
  explicit GrpcReceiver(std::size_t max_message = kMaxGrpcMessage) : max_message_(max_message) {}

  void on_headers(const std::vector<Header>& headers);
  /// `on_message` may not destroy the receiver; a view holds during the call. It is not called
  /// again once it answers false.
  void on_data(Bytes bytes, const std::function<bool(Bytes message)>& on_message);
  void on_trailers(const std::vector<Header>& trailers);
  /// The stream has ended: the status that the call ends with.
  void on_end();
  void on_reset(std::uint32_t h2_error);

  [[nodiscard]] const std::optional<GrpcStatus>& status() const noexcept { return status_; }

 private:
  void end(GrpcCode code, std::string message);
  std::size_t take_prefix(Bytes bytes);
  std::size_t take_body(Bytes bytes);

  std::size_t max_message_;
  bool has_headers_ = false;
  std::string prefix_;
  std::string message_;
  std::size_t message_bytes_ = 0;       // of the message that prefix_ announced, once that is whole
  std::optional<GrpcStatus> trailers_;  // in force at the end of the stream
  std::optional<GrpcStatus> status_;
};

}  // namespace mooring::http
