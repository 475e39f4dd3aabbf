#include "http/grpc.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <span>

#include "http/h2_session.h"

namespace mooring::http {
namespace {

using testing::ElementsAre;

const std::vector<Header> kHeaders{{":status", "200"}, {"content-type", "application/grpc+proto"}};

std::string framed(std::string_view text) {
  return encode_grpc_prefix(text.size()) + std::string(text);
}

struct Received {
  std::vector<std::string> messages;
  std::optional<GrpcStatus> status;
};

Received receive(std::string_view body,
                 std::size_t piece = std::string_view::npos,
                 std::size_t max_message = 100) {
  GrpcReceiver receiver(max_message);
  Received got;
  receiver.on_headers(kHeaders);
  while (!body.empty()) {
    const std::string_view now = body.substr(0, piece);
    body.remove_prefix(now.size());
    receiver.on_data(std::as_bytes(std::span(now)), [&](Bytes message) {
      got.messages.emplace_back(reinterpret_cast<const char*>(message.data()), message.size());
      return true;
    });
  }
  got.status = receiver.status();
  return got;
}

GrpcStatus end_with(const std::vector<Header>& headers, const std::vector<Header>& trailers) {
  GrpcReceiver receiver;
  receiver.on_headers(headers);
  if (!trailers.empty()) receiver.on_trailers(trailers);
  receiver.on_end();
  return *receiver.status();
}

TEST(GrpcReceiver, FindsMessagesInAnyPieces) {
  const std::string body = framed("one") + framed("") + framed("three");
  for (std::size_t piece = 1; piece <= body.size(); ++piece) {
    const Received got = receive(body, piece);
    EXPECT_THAT(got.messages, ElementsAre("one", "", "three")) << piece;
    EXPECT_FALSE(got.status);
  }
}

TEST(GrpcReceiver, BoundsMessages) {
  EXPECT_THAT(receive(framed(std::string(100, 'x'))).messages, ElementsAre(std::string(100, 'x')));
  const Received got = receive(framed("ok") + framed(std::string(101, 'x')) + framed("late"));
  EXPECT_THAT(got.messages, ElementsAre("ok"));
  EXPECT_EQ(got.status->code, GrpcCode::resource_exhausted);
}

TEST(GrpcReceiver, RefusesCompression) {
  std::string body = framed("abc");
  body[0] = 1;
  EXPECT_EQ(receive(body).status->code, GrpcCode::unimplemented);
  std::vector<Header> headers = kHeaders;
  headers.push_back({"grpc-encoding", "gzip"});
  EXPECT_EQ(end_with(headers, {{"grpc-status", "0"}}).code, GrpcCode::unimplemented);
}

TEST(GrpcReceiver, StopsWhenTheOwnerSaysSo) {
  GrpcReceiver receiver;
  receiver.on_headers(kHeaders);
  int messages = 0;
  const std::string body = framed("a") + framed("b");
  receiver.on_data(std::as_bytes(std::span(body)), [&](Bytes) { return ++messages > 1; });
  EXPECT_EQ(messages, 1);
}

TEST(GrpcReceiver, TakesTheStatusOfTheTrailers) {
  EXPECT_EQ(end_with(kHeaders, {{"grpc-status", "0"}}), (GrpcStatus{GrpcCode::ok, ""}));
  EXPECT_EQ(end_with(kHeaders, {{"grpc-status", "16"}, {"grpc-message", "a%20b%"}}),
            (GrpcStatus{GrpcCode::unauthenticated, "a b%"}));
  EXPECT_EQ(end_with(kHeaders, {{"grpc-status", "17"}}).code, GrpcCode::unknown);
  EXPECT_EQ(end_with(kHeaders, {{"grpc-status", "0x"}}).code, GrpcCode::unknown);
  EXPECT_EQ(end_with(kHeaders, {{"x", "y"}}).code, GrpcCode::unknown);
  EXPECT_EQ(end_with(kHeaders, {}).code, GrpcCode::unknown);
}

TEST(GrpcReceiver, TakesTrailersOnly) {
  std::vector<Header> headers = kHeaders;
  headers.push_back({"grpc-status", "7"});
  EXPECT_EQ(end_with(headers, {}).code, GrpcCode::permission_denied);
}

TEST(GrpcReceiver, MapsHttpStatusUnlessTheServerSpeaksGrpc) {
  EXPECT_EQ(end_with({{":status", "503"}}, {}),
            (GrpcStatus{GrpcCode::unavailable, "HTTP status 503, content-type missing"}));
  EXPECT_EQ(end_with({{":status", "404"}, {"grpc-status", "8"}}, {}).code,
            GrpcCode::resource_exhausted);
  EXPECT_EQ(end_with({{":status", "200"}, {"content-type", "application/grpcx"}}, {}).code,
            GrpcCode::unknown);
  for (const auto& [http, code] : {std::pair{400, GrpcCode::internal},
                                   {401, GrpcCode::unauthenticated},
                                   {403, GrpcCode::permission_denied},
                                   {404, GrpcCode::unimplemented},
                                   {429, GrpcCode::unavailable},
                                   {502, GrpcCode::unavailable},
                                   {500, GrpcCode::unknown}}) {
    EXPECT_EQ(code_of_http_status(http), code) << http;
  }
}

TEST(GrpcReceiver, AnOkInTheMiddleOfAMessageIsNone) {
  GrpcReceiver receiver;
  receiver.on_headers(kHeaders);
  const std::string body = framed("abc").substr(0, 6);
  receiver.on_data(std::as_bytes(std::span(body)), [](Bytes) { return true; });
  receiver.on_trailers({{"grpc-status", "0"}});
  receiver.on_end();
  EXPECT_EQ(receiver.status()->code, GrpcCode::internal);
}

TEST(GrpcReceiver, MapsResets) {
  for (const auto& [error, code] : {std::pair{kH2RefusedStream, GrpcCode::unavailable},
                                    {kH2Cancel, GrpcCode::cancelled},
                                    {kH2EnhanceYourCalm, GrpcCode::resource_exhausted},
                                    {kH2Protocol, GrpcCode::internal},
                                    {kH2InadequateSecurity, GrpcCode::permission_denied}}) {
    EXPECT_EQ(code_of_h2_error(error), code);
  }
  GrpcReceiver receiver;
  receiver.on_reset(kH2RefusedStream);
  EXPECT_EQ(receiver.status()->code, GrpcCode::unavailable);
}

TEST(GrpcMessage, IsPercentDecodedAndBounded) {
  EXPECT_EQ(decode_grpc_message("%41%zz%4"), "A%zz%4");
  EXPECT_EQ(decode_grpc_message("a%00b").size(), 3U);
  EXPECT_EQ(decode_grpc_message(std::string(100000, 'x')).size(), 4096U);
}

}  // namespace
}  // namespace mooring::http
