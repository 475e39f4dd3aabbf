// One HTTP request to a server, and its whole answer, by libcurl: bootstrap and the like. gRPC does
// not go this way. Nothing of the host has a say in it: no proxy of the environment, no CA bundle,
// no .netrc. OpenSSL is to have been prepared before (identity::prepare_library).
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/clock.h"
#include "core/loop.h"
#include "core/result.h"

namespace mooring::net {

struct HttpRequest {
  std::string url;                     // "https://" or "http://"
  std::vector<std::string> headers{};  // "name: value", beyond those that every request has
  std::string body{};                  // what is POSTed; empty: GET
  std::string ca_pem{};                // anchors for https; empty: no server is trusted
  std::string proxy{};                 // "http://host:port" for CONNECT; empty: none
  std::string proxy_credentials{};     // "user:password"; empty: none are sent
  Milliseconds connect_timeout{5000};  // TCP, proxy and TLS
  Milliseconds timeout{15000};         // all of it
  std::size_t max_bytes = std::size_t{4} * 1024 * 1024;  // of the answer's body
};

struct HttpAnswer {
  int status = 0;
  std::string content_type{};
  std::string body{};
  std::optional<WallTime> date{};  // the server's clock, by its Date field
};

/// Why there is no answer: `text` is ours and libcurl's, and may have names of the peer's
/// certificate in it.
struct HttpFailure {
  Errc code = Errc::bad_input;
  std::string text;
};
using HttpResult = tl::expected<HttpAnswer, HttpFailure>;

/// Waits for it: for commands. Redirects are answers.
[[nodiscard]] HttpResult fetch(const HttpRequest& request);

/// The same on a loop.
class HttpFetch {
 public:
  /// `on_done` is called once, from the loop; the fetch is destroyed only after it has returned.
  HttpFetch(Loop& loop, HttpRequest request, std::function<void(HttpResult)> on_done);
  /// Forgets the answer.
  ~HttpFetch();
  HttpFetch(const HttpFetch&) = delete;
  HttpFetch& operator=(const HttpFetch&) = delete;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace mooring::net
