// The HTTP client against a real HTTPS server, waiting for it and on a loop.
#include "net/http_client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <optional>

#include <nlohmann/json.hpp>

#include "net/socket.h"
#include "support/pki.h"
#include "support/server_process.h"

namespace mooring::net {
namespace {

using testing::HasSubstr;

class HttpClientTest : public testing::Test {
 public:
  HttpClientTest() {
    std::signal(SIGPIPE, SIG_IGN);
    identity::prepare_library();
    std::string name = "/tmp/http_client_XXXXXX";
    folder_ = ::mkdtemp(name.data());
  }
  ~HttpClientTest() override { std::filesystem::remove_all(folder_); }

 protected:
  /// With a certificate for that name.
  void serve(const std::string& name = "IP:127.0.0.1") {
    test::CertOptions options;
    options.extra_names = {name};
    const test::Issued issued = ca_.issue("", options);
    std::ofstream(folder_ + "/cert.pem") << issued.cert_pem;
    std::ofstream(folder_ + "/key.pem") << issued.key_pem;
    server_ =
        std::make_unique<test::ServerProcess>("https_server.py", std::vector<std::string>{folder_});
  }
  HttpRequest request(const std::string& path) const {
    HttpRequest request{.url = "https://127.0.0.1:" + std::to_string(server_->port()) + path,
                        .ca_pem = ca_.cert_pem()};
    return request;
  }
  /// Both ways lead to the same.
  HttpResult get(const HttpRequest& request) {
    HttpResult waited = fetch(request);
    HttpResult called = on_loop(request);
    EXPECT_EQ(waited.has_value(), called.has_value());
    if (waited && called) {
      EXPECT_EQ(waited->status, called->status);
    }
    if (!waited && !called) {
      EXPECT_EQ(waited.error().code, called.error().code);
    }
    return waited;
  }
  static HttpResult on_loop(const HttpRequest& request) {
    Loop loop;
    std::optional<HttpResult> result;
    HttpFetch fetch(loop, request, [&](HttpResult done) {
      EXPECT_FALSE(result.has_value());
      result = std::move(done);
      loop.stop();
    });
    EXPECT_FALSE(result.has_value());  // never in the call itself
    loop.run();
    return std::move(*result);
  }
  HttpFailure failure(const HttpRequest& request) {
    const HttpResult result = get(request);
    EXPECT_FALSE(result.has_value());
    return result ? HttpFailure{} : result.error();
  }

  test::TestCa ca_{"cp.test"};
  std::string folder_;
  std::unique_ptr<test::ServerProcess> server_;
};

TEST_F(HttpClientTest, PostsABodyWithExactlyTheHeadersAskedFor) {
  serve();
  HttpRequest wanted = request("/echo");
  wanted.headers = {"accept: application/json", "content-type: application/json"};
  wanted.body = R"({"name": "web"})" + std::string(5000, ' ');
  const HttpResult result = get(wanted);
  ASSERT_TRUE(result) << result.error().text;
  EXPECT_EQ(result->status, 200);
  EXPECT_EQ(result->content_type, "application/json");
  const auto seen = nlohmann::json::parse(result->body);
  EXPECT_EQ(seen["method"], "POST");
  EXPECT_EQ(seen["body"], wanted.body);
  EXPECT_EQ(seen["headers"]["accept"], "application/json");
  EXPECT_EQ(seen["headers"]["user-agent"], "mooring/" MOORING_VERSION);
  EXPECT_FALSE(seen["headers"].contains("expect"));
}

TEST_F(HttpClientTest, GetsWithoutABodyAndFollowsNoRedirect) {
  serve();
  const HttpResult result = get(request("/302"));
  ASSERT_TRUE(result);
  EXPECT_EQ(result->status, 302);
  EXPECT_EQ(nlohmann::json::parse(result->body)["method"], "GET");
  EXPECT_EQ(get(request("/422"))->status, 422);
}

TEST_F(HttpClientTest, TrustsTheGivenAnchorsAlone) {
  serve();
  HttpRequest wanted = request("/echo");
  wanted.ca_pem = test::TestCa("other.test").cert_pem();
  EXPECT_EQ(failure(wanted).code, Errc::untrusted);
  wanted.ca_pem = "no certificate";
  EXPECT_EQ(failure(wanted).code, Errc::bad_certificate);
  wanted.ca_pem.clear();
  EXPECT_EQ(failure(wanted).code, Errc::untrusted);
}

TEST_F(HttpClientTest, RefusesAServerOfAnotherName) {
  serve("DNS:elsewhere");
  const HttpFailure why = failure(request("/echo"));
  EXPECT_EQ(why.code, Errc::untrusted);
  EXPECT_THAT(why.text, HasSubstr("127.0.0.1"));
}

TEST_F(HttpClientTest, BoundsTheAnswer) {
  serve();
  HttpRequest wanted = request("/large");
  wanted.max_bytes = 100'000;
  EXPECT_EQ(get(wanted)->body.size(), 100'000U);
  wanted.max_bytes = 99'999;
  EXPECT_EQ(failure(wanted).code, Errc::too_large);
  EXPECT_EQ(failure(request("/heads")).code, Errc::too_large);
}

TEST_F(HttpClientTest, EndsWithAServerThatSaysNothingOrStopsHalfWay) {
  serve();
  HttpRequest wanted = request("/hang");
  wanted.timeout = Milliseconds(200);
  EXPECT_EQ(failure(wanted).code, Errc::timed_out);
  // libcurl's releases differ in what they call an end without close_notify.
  const auto is_end = testing::AnyOf(Errc::truncated, Errc::reset);
  EXPECT_THAT(failure(request("/cut")).code, is_end);
  EXPECT_THAT(failure(request("/close")).code, is_end);
}

TEST_F(HttpClientTest, SaysWhatKeptItFromConnecting) {
  serve();
  HttpRequest wanted = request("/echo");
  const auto closed = make_listener({IpAddress::v4(0x7f000001), 0}, {});
  const std::string nobody = local_address(closed->get())->to_string();
  ::shutdown(closed->get(), SHUT_RDWR);  // the port stays ours, and nobody listens
  wanted.url = "https://" + nobody + "/";
  EXPECT_EQ(failure(wanted).code, Errc::refused);
  wanted.url = "ftp://127.0.0.1/";
  EXPECT_EQ(failure(wanted).code, Errc::bad_input);
  wanted = request("/echo");
  wanted.proxy = "http://" + nobody;
  EXPECT_EQ(failure(wanted).code, Errc::refused);
}

TEST_F(HttpClientTest, LooksAtNoProxyOfTheEnvironment) {
  serve();
  ::setenv("https_proxy", "http://127.0.0.1:1", 1);
  EXPECT_TRUE(get(request("/echo")).has_value());
  ::unsetenv("https_proxy");
}

TEST_F(HttpClientTest, ForgetsAnAnswerThatNobodyWaitsForAnyMore) {
  serve();
  Loop loop;
  auto fetch = std::make_unique<HttpFetch>(
      loop, request("/hang"), [](const HttpResult&) { ADD_FAILURE() << "called back"; });
  Timer later(loop, [&] { fetch.reset(); });
  later.start(Milliseconds(100));
  loop.run();  // ends, as nothing is left
}

}  // namespace
}  // namespace mooring::net
