#include "http/grpc.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <span>
#include <utility>

#include "http/h2_session.h"

namespace mooring::http {

namespace {

// A server may send more; nothing of ours needs it.
constexpr std::size_t kMaxText = 4096;

std::optional<int> number(const std::string* text) noexcept {
  int value = 0;
  if (text == nullptr) return std::nullopt;
  const char* end = text->data() + text->size();
  const auto [stop, error] = std::from_chars(text->data(), end, value);
  if (error != std::errc() || stop != end) return std::nullopt;
  return value;
}

bool is_grpc(const std::string* type) noexcept {
  constexpr std::string_view kType = "application/grpc";
  if (type == nullptr || !type->starts_with(kType)) return false;
  return type->size() == kType.size() || (*type)[kType.size()] == '+' ||
         (*type)[kType.size()] == ';';
}

constexpr std::array kNames{"OK",
                            "CANCELLED",
                            "UNKNOWN",
                            "INVALID_ARGUMENT",
                            "DEADLINE_EXCEEDED",
                            "NOT_FOUND",
                            "ALREADY_EXISTS",
                            "PERMISSION_DENIED",
                            "RESOURCE_EXHAUSTED",
                            "FAILED_PRECONDITION",
                            "ABORTED",
                            "OUT_OF_RANGE",
                            "UNIMPLEMENTED",
                            "INTERNAL",
                            "UNAVAILABLE",
                            "DATA_LOSS",
                            "UNAUTHENTICATED"};

std::optional<GrpcStatus> status_in(const std::vector<Header>& fields) {
  const std::string* text = find_header(fields, "grpc-status");
  if (text == nullptr) return std::nullopt;
  const int code = number(text).value_or(-1);
  const bool is_known = code >= 0 && static_cast<std::size_t>(code) < kNames.size();
  const std::string* message = find_header(fields, "grpc-message");
  return GrpcStatus{is_known ? static_cast<GrpcCode>(code) : GrpcCode::unknown,
                    message == nullptr ? "" : decode_grpc_message(*message)};
}

}  // namespace

const char* to_string(GrpcCode code) noexcept {
  return kNames[static_cast<std::size_t>(code)];
}

std::string encode_grpc_prefix(std::size_t message_bytes) {
  std::string prefix(kGrpcPrefixBytes, '\0');
  for (std::size_t i = 1; i < kGrpcPrefixBytes; ++i)
    prefix[i] = static_cast<char>(message_bytes >> (8 * (kGrpcPrefixBytes - 1 - i)) & 0xff);
  return prefix;
}

std::string decode_grpc_message(std::string_view encoded) {
  std::string text;
  for (std::size_t i = 0; i < encoded.size() && text.size() < kMaxText; ++i) {
    if (const int octet = percent_octet(encoded.substr(i)); octet >= 0) {
      text += static_cast<char>(octet);
      i += 2;
    } else {
      text += encoded[i];
    }
  }
  return text;
}

GrpcCode code_of_http_status(int status) noexcept {
  switch (status) {
    case 400:
      return GrpcCode::internal;
    case 401:
      return GrpcCode::unauthenticated;
    case 403:
      return GrpcCode::permission_denied;
    case 404:
      return GrpcCode::unimplemented;
    case 429:
    case 502:
    case 503:
    case 504:
      return GrpcCode::unavailable;
    default:
      return GrpcCode::unknown;
  }
}

GrpcCode code_of_h2_error(std::uint32_t error) noexcept {
  switch (error) {
    case kH2RefusedStream:
      return GrpcCode::unavailable;
    case kH2Cancel:
      return GrpcCode::cancelled;
    case kH2EnhanceYourCalm:
      return GrpcCode::resource_exhausted;
    case kH2InadequateSecurity:
      return GrpcCode::permission_denied;
    default:
      return GrpcCode::internal;
  }
}

void GrpcReceiver::end(GrpcCode code, std::string message) {
  if (!status_) status_ = GrpcStatus{code, std::move(message)};
  std::string().swap(message_);
}

void GrpcReceiver::on_headers(const std::vector<Header>& headers) {
  if (status_) return;
  has_headers_ = true;
  const int http = number(find_header(headers, ":status")).value_or(0);
  const std::string* type = find_header(headers, "content-type");
  if (http == 200 && is_grpc(type)) {
    const std::string* encoding = find_header(headers, "grpc-encoding");
    if (encoding != nullptr && *encoding != "identity")
      return end(GrpcCode::unimplemented, "compressed by " + encoding->substr(0, 32));
    trailers_ = status_in(headers);  // trailers-only
    return;
  }
  // A gRPC server's own word counts before what its HTTP status may mean.
  if (auto status = status_in(headers)) return end(status->code, std::move(status->message));
  const GrpcCode code = http == 200 ? GrpcCode::unknown : code_of_http_status(http);
  end(code,
      "HTTP status " + std::to_string(http) + ", content-type " +
          (type == nullptr ? "missing" : type->substr(0, 64)));
}

std::size_t GrpcReceiver::take_prefix(Bytes bytes) {
  const std::size_t count = std::min(kGrpcPrefixBytes - prefix_.size(), bytes.size());
  prefix_.append(reinterpret_cast<const char*>(bytes.data()), count);
  if (prefix_.size() < kGrpcPrefixBytes) return count;
  message_bytes_ = 0;
  for (std::size_t i = 1; i < kGrpcPrefixBytes; ++i)
    message_bytes_ = message_bytes_ << 8 | static_cast<unsigned char>(prefix_[i]);
  if (prefix_[0] != 0) {
    end(GrpcCode::unimplemented, "a compressed message");
  } else if (message_bytes_ > max_message_) {
    end(GrpcCode::resource_exhausted,
        "a message of " + std::to_string(message_bytes_) + " bytes, more than " +
            std::to_string(max_message_));
  }
  return count;
}

std::size_t GrpcReceiver::take_body(Bytes bytes) {
  const std::size_t count = std::min(message_bytes_ - message_.size(), bytes.size());
  message_.append(reinterpret_cast<const char*>(bytes.data()), count);
  return count;
}

void GrpcReceiver::on_data(Bytes bytes, const std::function<bool(Bytes message)>& on_message) {
  if (!has_headers_) return end(GrpcCode::internal, "a message before the headers");
  while (!status_) {
    if (prefix_.size() < kGrpcPrefixBytes) {
      if (bytes.empty()) return;
      bytes = bytes.subspan(take_prefix(bytes));
      continue;
    }
    bytes = bytes.subspan(take_body(bytes));
    if (message_.size() < message_bytes_) return;
    prefix_.clear();
    const std::string message = std::exchange(message_, {});
    if (!on_message(std::as_bytes(std::span(message)))) return;
  }
}

void GrpcReceiver::on_trailers(const std::vector<Header>& trailers) {
  trailers_ =
      status_in(trailers).value_or(GrpcStatus{GrpcCode::unknown, "trailers without grpc-status"});
}

void GrpcReceiver::on_end() {
  if (!prefix_.empty() && (!trailers_ || trailers_->code == GrpcCode::ok))
    return end(GrpcCode::internal, "the stream ended in the middle of a message");
  if (trailers_) return end(trailers_->code, trailers_->message);
  end(GrpcCode::unknown, "the stream ended without a status");
}

void GrpcReceiver::on_reset(std::uint32_t h2_error) {
  if (trailers_ && h2_error == kH2NoError) return on_end();
  end(code_of_h2_error(h2_error), "the stream was reset, HTTP/2 error " + std::to_string(h2_error));
}

}  // namespace mooring::http
