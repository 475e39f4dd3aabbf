#include "http/h1_codec.h"

#include <llhttp.h>

#include <algorithm>
#include <string_view>
#include <utility>

#include "core/ascii.h"

namespace mooring::http {

namespace {

tl::unexpected<Error> refuse(int status, const char* place) {
  const Errc code = status == 413 || status == 431                    ? Errc::too_large
                    : status == 405 || status == 501 || status == 505 ? Errc::unsupported
                                                                      : Errc::bad_input;
  return fail(code, place, status);
}

std::string_view to_text(Bytes bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

bool is_forbidden_control(char c) {
  return (static_cast<unsigned char>(c) < 0x20 && c != '\r' && c != '\n' && c != '\t') || c == 0x7f;
}

}  // namespace

// A head is collected whole and its line ends are checked before llhttp sees it: llhttp 8.1 lets
// some bare CRs and folded lines pass.
class H1Codec::Parser {
 public:
  Parser() {
    llhttp_settings_init(&settings_);
    settings_.on_url = append_to<&Parser::target_>;
    settings_.on_header_field = append_to<&Parser::field_>;
    settings_.on_header_value = append_to<&Parser::value_>;
    settings_.on_header_value_complete = [](llhttp_t* p) noexcept {
      return self(p).on_field_end();
    };
    settings_.on_headers_complete = [](llhttp_t* p) noexcept { return self(p).on_head(); };
    settings_.on_body = [](llhttp_t* p, const char* at, std::size_t size) noexcept {
      return self(p).on_body({at, size});
    };
    settings_.on_message_complete = [](llhttp_t*) noexcept -> int { return HPE_PAUSED; };
    restart();
  }

  Result<Fed> feed(Bytes in, H1Events& events) {
    std::string_view text = to_text(in);
    std::size_t head_bytes = 0;
    if (phase_ == Phase::head) {
      const Result<std::size_t> taken = take_head(text);
      if (!taken) return fail(taken.error());
      head_bytes = *taken;
      if (phase_ == Phase::head) return Fed{head_bytes, true};
      text.remove_prefix(head_bytes);
      const Result<Fed> head = execute(head_, events);
      if (!head || !head->need_more) return head ? Result<Fed>(Fed{head_bytes, false}) : head;
      head_.clear();
    }
    Result<Fed> body = execute(text, events);
    if (body) body->consumed += head_bytes;
    return body;
  }

  [[nodiscard]] bool is_idle() const noexcept { return phase_ == Phase::head && head_.empty(); }

 private:
  enum class Phase : std::uint8_t { head, body };

  static Parser& self(llhttp_t* parser) { return *static_cast<Parser*>(parser->data); }

  template <std::string Parser::* member>
  static int append_to(llhttp_t* parser, const char* at, std::size_t size) noexcept {
    (self(parser).*member).append(at, size);
    return 0;
  }

  void restart() {
    llhttp_init(&parser_, HTTP_REQUEST, &settings_);
    parser_.data = this;
    phase_ = Phase::head;
    head_.clear();
    target_.clear();
    field_.clear();
    value_.clear();
    request_ = Request{};
    raw_body_bytes_ = 0;
    failure_ = 0;
    in_head_ = true;
  }

  /// Up to the empty line. RFC 9112 §2.2 lets a lone LF pass and §5.2 lets a server refuse folding;
  /// both are refused.
  Result<std::size_t> take_head(std::string_view text) {
    for (std::size_t i = 0; i < text.size(); ++i) {
      const char c = text[i];
      const char before = head_.empty() ? '\0' : head_.back();
      if (is_forbidden_control(c)) return refuse(400, "request head: control character");
      if ((before == '\r') != (c == '\n')) return refuse(400, "request head: bare CR or LF");
      if (before == '\n' && (c == ' ' || c == '\t'))
        return refuse(400, "request head: folded line");
      if (head_.empty() && (c < 'A' || c > 'Z')) return refuse(400, "request head: no method");
      if (head_.size() == kMaxHeadBytes) return refuse(431, "request head: too long");
      head_ += c;
      if (head_.ends_with("\r\n\r\n")) {
        phase_ = Phase::body;
        return i + 1;
      }
    }
    return text.size();
  }

  /// Head or body bytes through llhttp. need_more is false when the request ended within them.
  Result<Fed> execute(std::string_view text, H1Events& events) {
    const bool is_body = !in_head_;
    if (is_body) text = text.substr(0, kMaxRawBodyBytes - raw_body_bytes_);
    const llhttp_errno_t code = llhttp_execute(&parser_, text.data(), text.size());
    if (code == HPE_PAUSED) {  // by on_message_complete
      const auto consumed = static_cast<std::size_t>(llhttp_get_error_pos(&parser_) - text.data());
      Request done = std::move(request_);
      restart();
      events.on_request(std::move(done));
      return Fed{consumed, false};
    }
    if (code != HPE_OK) return refuse(status_of(code), "request");
    if (is_body) raw_body_bytes_ += text.size();
    if (raw_body_bytes_ == kMaxRawBodyBytes) return refuse(413, "request body: too long as sent");
    return Fed{text.size(), true};
  }

  [[nodiscard]] int status_of(llhttp_errno_t code) const {
    if (failure_ != 0) return failure_;
    if (code == HPE_INVALID_METHOD) return 501;
    if (code == HPE_INVALID_VERSION || code == HPE_PAUSED_H2_UPGRADE) return 505;
    return 400;
  }

  int on_field_end() {
    if (in_head_)
      request_.headers.push_back({lower_ascii(field_), value_});  // trailers are not ours
    field_.clear();
    value_.clear();
    return 0;
  }

  int reject(int status) {
    failure_ = status;
    return -1;
  }

  int on_head() {
    in_head_ = false;
    parser_.upgrade = 0;  // an Upgrade that we do not take is ignored (RFC 9110 §7.8)
    if (parser_.http_major != 1) return reject(505);
    const auto hosts = std::count_if(request_.headers.begin(),
                                     request_.headers.end(),
                                     [](const Header& header) { return header.name == "host"; });
    // RFC 9112 §3.2: exactly one Host, which HTTP/1.0 may lack; §6.1: no Transfer-Encoding in
    // HTTP/1.0.
    if (hosts > 1 || (hosts == 0 && parser_.http_minor > 0)) return reject(400);
    if (parser_.http_minor == 0 && request_.header("transfer-encoding") != nullptr)
      return reject(400);
    switch (parser_.method) {
      case HTTP_GET:
        request_.method = Method::get;
        break;
      case HTTP_HEAD:
        request_.method = Method::head;
        break;
      case HTTP_POST:
        request_.method = Method::post;
        break;
      default:
        return reject(405);  // llhttp's enum, not ours
    }
    if (!target_.starts_with('/')) return reject(400);
    const std::size_t mark = target_.find('?');
    request_.path = target_.substr(0, mark);
    if (mark != std::string::npos) request_.query = target_.substr(mark + 1);
    request_.keep_alive = llhttp_should_keep_alive(&parser_) != 0;
    return parser_.content_length > kMaxBodyBytes ? reject(413) : 0;
  }

  int on_body(std::string_view part) {
    if (request_.body.size() + part.size() > kMaxBodyBytes) return reject(413);
    request_.body += part;
    return 0;
  }

  llhttp_t parser_{};
  llhttp_settings_t settings_{};
  Phase phase_ = Phase::head;
  std::string head_;
  std::string target_;
  std::string field_;  // a header that llhttp is in the middle of
  std::string value_;
  Request request_;
  std::size_t raw_body_bytes_ = 0;
  int failure_ = 0;  // the status that a callback decided on
  bool in_head_ = true;
};

H1Codec::H1Codec() : parser_(std::make_unique<Parser>()) {}
H1Codec::~H1Codec() = default;

Result<Fed> H1Codec::feed(Bytes in, H1Events& events) {
  return parser_->feed(in, events);
}

bool H1Codec::is_idle() const noexcept {
  return parser_->is_idle();
}

}  // namespace mooring::http
