#include "net/http_client.h"

#include <curl/curl.h>

#include <map>
#include <mutex>
#include <utility>

#include "core/free_by.h"

namespace mooring::net {

namespace {

// Head of an answer. libcurl bounds a line, not their number.
constexpr std::size_t kMaxHeadBytes = std::size_t{64} * 1024;

using EasyPtr = std::unique_ptr<CURL, FreeBy<curl_easy_cleanup>>;
using MultiPtr = std::unique_ptr<CURLM, FreeBy<curl_multi_cleanup>>;
using ListPtr = std::unique_ptr<curl_slist, FreeBy<curl_slist_free_all>>;

Errc code_of(CURLcode code) {
  switch (code) {
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
      return Errc::not_found;
    case CURLE_COULDNT_CONNECT:
      return Errc::refused;
    case CURLE_OPERATION_TIMEDOUT:
      return Errc::timed_out;
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_ISSUER_ERROR:
      return Errc::untrusted;
    case CURLE_SSL_CACERT_BADFILE:
      return Errc::bad_certificate;
    case CURLE_SSL_CONNECT_ERROR:
      return Errc::tls_protocol;
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
      return Errc::bad_input;
    case CURLE_GOT_NOTHING:
    case CURLE_PARTIAL_FILE:
      return Errc::truncated;
    default:  // the library's list is long and grows
      return Errc::reset;
  }
}

/// One transfer, for both ways of driving it.
class Exchange {
 public:
  explicit Exchange(HttpRequest request) : request_(std::move(request)) {
    static std::once_flag once;
    std::call_once(once, [] { curl_global_init(CURL_GLOBAL_DEFAULT); });
    easy_.reset(curl_easy_init());
    AGENT_CHECK(easy_ != nullptr);  // out of memory
    set_transfer();
    set_security();
    set_content();
  }
  Exchange(const Exchange&) = delete;
  Exchange& operator=(const Exchange&) = delete;

  [[nodiscard]] CURL* easy() const noexcept { return easy_.get(); }

  HttpResult result(CURLcode code) {
    if (is_too_large_)
      return tl::unexpected(HttpFailure{Errc::too_large, "the answer is too large"});
    if (code != CURLE_OK) {
      const char* text = error_[0] != '\0' ? error_ : curl_easy_strerror(code);
      return tl::unexpected(HttpFailure{code_of(code), text});
    }
    long status = 0;
    curl_easy_getinfo(easy_.get(), CURLINFO_RESPONSE_CODE, &status);
    const char* type = nullptr;
    curl_easy_getinfo(easy_.get(), CURLINFO_CONTENT_TYPE, &type);
    answer_.status = static_cast<int>(status);
    answer_.content_type = type != nullptr ? type : "";
    curl_header* date = nullptr;
    if (curl_easy_header(easy_.get(), "date", 0, CURLH_HEADER, -1, &date) == CURLHE_OK) {
      const std::time_t time = curl_getdate(date->value, nullptr);
      if (time > 0) answer_.date = std::chrono::system_clock::from_time_t(time);
    }
    return std::move(answer_);
  }

 private:
  template <class T>
  void set(CURLoption option, T value) {
    const CURLcode code = curl_easy_setopt(easy_.get(), option, value);
    AGENT_CHECK(code == CURLE_OK);  // all of them are of the oldest version that we build with
  }

  void set_transfer() {
    set(CURLOPT_URL, request_.url.c_str());
    set(CURLOPT_PROTOCOLS_STR, "http,https");
    set(CURLOPT_HTTP_VERSION, long{CURL_HTTP_VERSION_1_1});
    set(CURLOPT_PROXY, request_.proxy.c_str());  // empty: not the environment's either
    set(CURLOPT_NOPROXY, "");
    if (!request_.proxy_credentials.empty())
      set(CURLOPT_PROXYUSERPWD, request_.proxy_credentials.c_str());
    set(CURLOPT_NOSIGNAL, 1L);
    set(CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(request_.connect_timeout.count()));
    set(CURLOPT_TIMEOUT_MS, static_cast<long>(request_.timeout.count()));
    set(CURLOPT_ERRORBUFFER, error_);
    set(CURLOPT_WRITEDATA, this);
    set(CURLOPT_WRITEFUNCTION, &Exchange::on_body);
    set(CURLOPT_HEADERDATA, this);
    set(CURLOPT_HEADERFUNCTION, &Exchange::on_head);
  }

  void set_security() {
    set(CURLOPT_SSLVERSION, long{CURL_SSLVERSION_TLSv1_2});
    set(CURLOPT_SSL_VERIFYPEER, 1L);
    set(CURLOPT_SSL_VERIFYHOST, 2L);
    set(CURLOPT_CAPATH, nullptr);
    set(CURLOPT_CAINFO, nullptr);
    curl_blob blob{request_.ca_pem.data(), request_.ca_pem.size(), CURL_BLOB_NOCOPY};
    if (!request_.ca_pem.empty()) set(CURLOPT_CAINFO_BLOB, &blob);
  }

  void set_content() {
    for (const std::string& line : request_.headers)
      append(line.c_str());
    append("User-Agent: mooring/" MOORING_VERSION);
    if (!request_.body.empty()) {
      append("Expect:");  // no round trip before the body
      set(CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request_.body.size()));
      set(CURLOPT_POSTFIELDS, request_.body.c_str());
    }
    set(CURLOPT_HTTPHEADER, headers_.get());
  }

  void append(const char* line) {
    headers_.reset(curl_slist_append(headers_.release(), line));
    AGENT_CHECK(headers_ != nullptr);
  }

  // Anything but `size * count` ends the transfer.
  static std::size_t on_body(char* data, std::size_t size, std::size_t count, void* self) noexcept {
    return static_cast<Exchange*>(self)->take_body({data, size * count});
  }
  static std::size_t on_head(char*, std::size_t size, std::size_t count, void* self) noexcept {
    auto& exchange = *static_cast<Exchange*>(self);
    exchange.head_bytes_ += size * count;
    exchange.is_too_large_ = exchange.is_too_large_ || exchange.head_bytes_ > kMaxHeadBytes;
    return exchange.is_too_large_ ? 0 : size * count;
  }
  std::size_t take_body(std::string_view bytes) {
    is_too_large_ = is_too_large_ || bytes.size() > request_.max_bytes - answer_.body.size();
    if (is_too_large_) return 0;
    answer_.body += bytes;
    return bytes.size();
  }

  HttpRequest request_;
  EasyPtr easy_;
  ListPtr headers_;
  char error_[CURL_ERROR_SIZE] = "";
  HttpAnswer answer_;
  std::size_t head_bytes_ = 0;
  bool is_too_large_ = false;
};

}  // namespace

HttpResult fetch(const HttpRequest& request) {
  Exchange exchange(request);
  return exchange.result(curl_easy_perform(exchange.easy()));
}

/// libcurl says which sockets to watch and when to come back.
class HttpFetch::Impl {
 public:
  Impl(Loop& loop, HttpRequest request, std::function<void(HttpResult)> on_done)
      : loop_(loop),
        exchange_(std::move(request)),
        on_done_(std::move(on_done)),
        timer_(loop, [this] { act(CURL_SOCKET_TIMEOUT, 0); }),
        multi_(curl_multi_init()) {
    AGENT_CHECK(multi_ != nullptr);
    curl_multi_setopt(multi_.get(), CURLMOPT_SOCKETDATA, this);
    curl_multi_setopt(multi_.get(), CURLMOPT_SOCKETFUNCTION, &Impl::on_socket);
    curl_multi_setopt(multi_.get(), CURLMOPT_TIMERDATA, this);
    curl_multi_setopt(multi_.get(), CURLMOPT_TIMERFUNCTION, &Impl::on_timer);
    curl_multi_add_handle(multi_.get(), exchange_.easy());  // asks for a timer at once
  }
  ~Impl() {
    curl_multi_remove_handle(multi_.get(), exchange_.easy());
    multi_.reset();  // says goodbye to the sockets while there is somebody to hear it
  }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

 private:
  static int on_socket(
      CURL*, curl_socket_t socket, int what, void* self, void* /*of the socket*/) noexcept {
    static_cast<Impl*>(self)->watch(socket, what);
    return 0;
  }
  static int on_timer(CURLM*, long after_ms, void* self) noexcept {
    auto& timer = static_cast<Impl*>(self)->timer_;
    if (after_ms < 0) {
      timer.stop();
    } else {
      timer.start(Milliseconds(after_ms));
    }
    return 0;
  }

  // A handle may be closed in its own callback, and is before libcurl closes the socket.
  void watch(curl_socket_t socket, int what) {
    if (what == CURL_POLL_REMOVE) {
      watches_.erase(socket);
      return;
    }
    auto& entry = watches_[socket];
    if (!entry) {
      auto handle = std::make_unique<uv_poll_t>();
      AGENT_CHECK(uv_poll_init(loop_.uv(), handle.get(), socket) == 0);
      entry.reset(handle.release());
      entry->data = this;
    }
    const int wanted = ((what & CURL_POLL_IN) != 0 ? UV_READABLE : 0) |
                       ((what & CURL_POLL_OUT) != 0 ? UV_WRITABLE : 0);
    AGENT_CHECK(uv_poll_start(entry.get(), wanted, &Impl::on_ready) == 0);
  }

  static void on_ready(uv_poll_t* handle, int status, int events) noexcept {
    auto* self = static_cast<Impl*>(handle->data);
    uv_os_fd_t socket = -1;
    if (self == nullptr || uv_fileno(reinterpret_cast<uv_handle_t*>(handle), &socket) != 0) return;
    int what = status != 0 ? CURL_CSELECT_ERR : 0;
    if ((events & UV_READABLE) != 0) what |= CURL_CSELECT_IN;
    if ((events & UV_WRITABLE) != 0) what |= CURL_CSELECT_OUT;
    self->act(socket, what);
  }

  void act(curl_socket_t socket, int what) {
    int running = 0;
    curl_multi_socket_action(multi_.get(), socket, what, &running);
    int left = 0;
    while (const CURLMsg* message = curl_multi_info_read(multi_.get(), &left)) {
      if (message->msg == CURLMSG_DONE && on_done_)
        std::exchange(on_done_, nullptr)(exchange_.result(message->data.result));
    }
  }

  Loop& loop_;
  Exchange exchange_;
  std::function<void(HttpResult)> on_done_;
  Timer timer_;
  std::map<curl_socket_t, UvPtr<uv_poll_t>> watches_;
  MultiPtr multi_;
};

HttpFetch::HttpFetch(Loop& loop, HttpRequest request, std::function<void(HttpResult)> on_done)
    : impl_(std::make_unique<Impl>(loop, std::move(request), std::move(on_done))) {}
HttpFetch::~HttpFetch() = default;

}  // namespace mooring::net
