#include "http/h1_codec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace mooring::http {
namespace {

using ::testing::HasSubstr;

Bytes bytes(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

struct Collected : H1Events {
  std::vector<Request> requests;
  void on_request(Request request) override { requests.push_back(std::move(request)); }
};

/// Everything that the text yields when it comes in pieces of `piece` bytes; -1 stands for no
/// failure.
struct Outcome {
  std::vector<Request> requests;
  int status = -1;
  bool is_idle = false;

  friend bool operator==(const Outcome&, const Outcome&) = default;
};

Outcome run(std::string_view text, std::size_t piece = std::string_view::npos) {
  H1Codec codec;
  Collected events;
  while (!text.empty()) {
    std::string_view now = text.substr(0, piece);
    text.remove_prefix(now.size());
    while (!now.empty()) {
      const Result<Fed> fed = codec.feed(bytes(now), events);
      if (!fed) return {events.requests, fed.error().detail, false};
      EXPECT_TRUE(fed->consumed > 0);
      EXPECT_TRUE(!fed->need_more || fed->consumed == now.size());
      now.remove_prefix(fed->consumed);
    }
  }
  return {events.requests, -1, codec.is_idle()};
}

int status(std::string_view text) {
  return run(text).status;
}

TEST(H1Codec, ReadsAGet) {
  const Outcome outcome =
      run("GET /stats/prometheus?usedonly&x=a%20b+c HTTP/1.1\r\nHost: x\r\nX-Empty:\r\nAccept: "
          "*/*\r\n\r\n");
  ASSERT_EQ(outcome.requests.size(), 1U);
  const Request& request = outcome.requests[0];
  EXPECT_EQ(request.method, Method::get);
  EXPECT_EQ(request.path, "/stats/prometheus");
  EXPECT_EQ(request.query, "usedonly&x=a%20b+c");
  EXPECT_EQ(request.parameter("x"), "a b c");
  EXPECT_EQ(request.parameter("usedonly"), "");
  EXPECT_EQ(request.parameter("none"), std::nullopt);
  EXPECT_EQ(request.headers,
            (std::vector<Header>{{"host", "x"}, {"x-empty", ""}, {"accept", "*/*"}}));
  EXPECT_TRUE(request.keep_alive);
  EXPECT_TRUE(outcome.is_idle);
}

TEST(H1Codec, ReadsABodyByLengthAndByChunks) {
  EXPECT_EQ(
      run("POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello").requests.at(0).body,
      "hello");
  EXPECT_EQ(run("POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
                "3;note=1\r\nhel\r\n2\r\nlo\r\n0\r\nTrailer: t\r\n\r\n")
                .requests.at(0)
                .body,
            "hello");
}

TEST(H1Codec, ReadsTheSameHoweverTheBytesAreCut) {
  const std::string text =
      "POST /drain?x=1 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: "
      "chunked\r\n\r\n5\r\nhello\r\nA;e=\"q\"\r\n0123456789\r\n0\r\nT: v\r\n\r\n"
      "GET /ready HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n"
      "POST /b HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
      "HEAD / HTTP/1.0\r\n\r\n";
  const Outcome whole = run(text);
  ASSERT_EQ(whole.requests.size(), 4U);
  EXPECT_FALSE(whole.requests[3].keep_alive);
  for (std::size_t piece = 1; piece < text.size(); ++piece)
    EXPECT_EQ(run(text, piece), whole) << piece;
}

TEST(H1Codec, StopsAfterEachPipelinedRequest) {
  H1Codec codec;
  Collected events;
  const std::string one = "GET /1 HTTP/1.1\r\nHost: x\r\n\r\n";
  const Result<Fed> fed = codec.feed(bytes(one + one), events);
  ASSERT_TRUE(fed);
  EXPECT_EQ(*fed, (Fed{one.size(), false}));
  EXPECT_EQ(events.requests.size(), 1U);
}

TEST(H1Codec, KnowsWhoKeepsTheConnection) {
  EXPECT_TRUE(run("GET / HTTP/1.1\r\nHost: x\r\n\r\n").requests.at(0).keep_alive);
  EXPECT_FALSE(
      run("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").requests.at(0).keep_alive);
  EXPECT_FALSE(run("GET / HTTP/1.0\r\n\r\n").requests.at(0).keep_alive);
  EXPECT_TRUE(run("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").requests.at(0).keep_alive);
}

std::string head_of(std::size_t size) {
  const std::string before = "GET / HTTP/1.1\r\nHost: x\r\nX: ";
  return before + std::string(size - before.size() - 4, 'a') + "\r\n\r\n";
}

TEST(H1Codec, BoundsTheHead) {
  EXPECT_EQ(status(head_of(kMaxHeadBytes)), -1);
  EXPECT_EQ(status(head_of(kMaxHeadBytes + 1)), 431);
  EXPECT_EQ(status("GET /" + std::string(kMaxHeadBytes, 'a')), 431);
}

std::string post(std::size_t body) {
  return "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: " + std::to_string(body) + "\r\n\r\n";
}

TEST(H1Codec, BoundsTheBody) {
  EXPECT_EQ(run(post(kMaxBodyBytes) + std::string(kMaxBodyBytes, 'a')).requests.at(0).body.size(),
            kMaxBodyBytes);
  EXPECT_EQ(status(post(kMaxBodyBytes + 1)), 413);  // refused before it is sent
  const std::string chunked = "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
  EXPECT_EQ(status(chunked + "10001\r\n" + std::string(0x10001, 'a')), 413);
  std::string small;
  for (std::size_t i = 0; i <= kMaxRawBodyBytes / 40; ++i)
    small += "1;" + std::string(36, 'e') + "\r\na\r\n";
  H1Codec codec;
  Collected events;
  ASSERT_TRUE(codec.feed(bytes(chunked), events));
  EXPECT_EQ(codec.feed(bytes(small), events).error().detail, 413);  // extensions without end
}

TEST(H1Codec, RefusesWhatTwoReadersCouldReadDifferently) {
  const std::string get = "GET / HTTP/1.1\r\nHost: x\r\n";
  const std::string post_head = "POST / HTTP/1.1\r\nHost: x\r\n";
  EXPECT_EQ(status(post_head + "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
            400);
  EXPECT_EQ(status(post_head + "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n"),
            400);
  EXPECT_EQ(status(post_head + "Content-Length: 3\r\nContent-Length: 4\r\n\r\nabc"), 400);
  EXPECT_EQ(status(post_head + "Content-Length: +3\r\n\r\nabc"), 400);
  EXPECT_EQ(status(post_head + "Content-Length: 3, 3\r\n\r\nabc"), 400);
  EXPECT_EQ(status(post_head + "Transfer-Encoding: gzip\r\n\r\n"), 400);
  EXPECT_EQ(status(post_head + "Transfer-Encoding: chunked, identity\r\n\r\n"), 400);
  EXPECT_EQ(status(post_head + "Transfer-Encoding : chunked\r\n\r\n"), 400);
  EXPECT_EQ(status("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), 400);
  EXPECT_EQ(status(get + "A: b\n\n"), 400);
  EXPECT_EQ(status(get + "A: b\rC: d\r\n\r\n"), 400);
  EXPECT_EQ(status(get + "A: b\r\n c\r\n\r\n"), 400);
  EXPECT_EQ(status(get + "A\r\n\r\n"), 400);
  EXPECT_EQ(status(get + "A: b\x01\r\n\r\n"), 400);
  EXPECT_EQ(status(get + "Host: y\r\n\r\n"), 400);
  EXPECT_EQ(status("GET / HTTP/1.1\r\n\r\n"), 400);
  EXPECT_EQ(status("GET x HTTP/1.1\r\nHost: x\r\n\r\n"), 400);
  EXPECT_EQ(status("GET http://x/ HTTP/1.1\r\nHost: x\r\n\r\n"), 400);
}

TEST(H1Codec, RefusesOtherProtocolsAtTheFirstByteThatShowsThem) {
  EXPECT_EQ(status("\x16\x03\x01"), 400);
  EXPECT_EQ(status("\r\n"), 400);
  EXPECT_EQ(status(std::string_view("\0", 1)), 400);
  EXPECT_EQ(status("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), 505);
  EXPECT_EQ(status("GET / HTTP/2.0\r\nHost: x\r\n\r\n"), 505);
}

TEST(H1Codec, RefusesOtherMethods) {
  for (const char* method : {"PUT", "DELETE", "OPTIONS", "CONNECT", "TRACE"}) {
    EXPECT_EQ(status(std::string(method) + " / HTTP/1.1\r\nHost: x\r\n\r\n"), 405) << method;
  }
  EXPECT_EQ(status("GRAB / HTTP/1.1\r\nHost: x\r\n\r\n"), 501);
}

TEST(EncodeResponse, IsReadBackByTheClientSide) {
  const Response response{
      .status = 404, .content_type = "application/json", .body = "{}", .headers = {{"X-A", "b"}}};
  const std::string text = encode_response(response, false, false);
  EXPECT_THAT(text, HasSubstr("HTTP/1.1 404 Not Found\r\n"));
  const Result<Response> back = parse_response(text, false);
  ASSERT_TRUE(back);
  EXPECT_EQ(back->status, 404);
  EXPECT_EQ(back->content_type, "application/json");
  EXPECT_EQ(back->body, "{}");
  EXPECT_THAT(back->headers, ::testing::Contains(Header{"x-a", "b"}));
}

TEST(EncodeResponse, AnswersHeadWithTheLengthOnly) {
  const std::string text = encode_response({.body = "four"}, true, true);
  EXPECT_THAT(text, HasSubstr("Content-Length: 4\r\n"));
  EXPECT_TRUE(text.ends_with("\r\n\r\n"));
  EXPECT_EQ(parse_response(text, true).value().body, "");
}

TEST(ParseResponse, RefusesWhatIsCutOrNoHttp) {
  const std::string text = encode_response({.body = "body"}, false, false);
  for (std::size_t size = 0; size < text.size(); ++size) {
    EXPECT_FALSE(parse_response(text.substr(0, size), false)) << size;
  }
  EXPECT_FALSE(parse_response("SSH-2.0-OpenSSH\r\n", false));
}

}  // namespace
}  // namespace mooring::http
