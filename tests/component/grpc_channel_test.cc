// The gRPC channel on a real loop against a real gRPC server, and against servers that misbehave.
#include "component/grpc_channel_fixture.h"

namespace mooring::discovery {
namespace {

using http::GrpcCode;
using http::GrpcStatus;
using testing::HasSubstr;

TEST_F(GrpcChannelTest, StreamsBothWaysWithARealServer) {
  const Server server("echo", folder_);
  call(server, "Stream");
  handler_.act_on_open = [this] {
    call_->send(bytes_of("one"));
    call_->send({});
  };
  ASSERT_TRUE(until([&] { return handler_.messages.size() == 2; }));
  call_->send(bytes_of("three"));
  ASSERT_TRUE(until([&] { return handler_.messages.size() == 3; }));
  EXPECT_THAT(handler_.messages, testing::ElementsAre("one", "", "three"));
  call_->half_close();
  ASSERT_TRUE(until([&] { return !handler_.ends.empty(); }));
  EXPECT_EQ(handler_.ends.front(), (GrpcStatus{GrpcCode::ok, ""}));
}

TEST_F(GrpcChannelTest, ResolvesNamesAndChecksThem) {
  const Server server("echo", folder_);
  target(server.port(), "localhost");
  start();
  open("/test.Echo/Stream");
  EXPECT_TRUE(until([&] { return handler_.opens == 1; }));
}

TEST_F(GrpcChannelTest, SendsMetadataThatIsFreshForEveryCall) {
  const Server server("echo", folder_);
  target(server.port());
  start();
  std::string token = "first";
  const Metadata metadata = [&] { return std::vector<http::Header>{{"authorization", token}}; };
  open("/test.Echo/Metadata", metadata);
  ASSERT_TRUE(until([&] { return !handler_.messages.empty(); }));
  token = "second";
  open("/test.Echo/Metadata", metadata);
  ASSERT_TRUE(until([&] { return handler_.messages.size() == 2; }));
  EXPECT_THAT(handler_.messages, testing::ElementsAre("first", "second"));
}

TEST_F(GrpcChannelTest, RefusesMetadataThatIsNone) {
  const Server server("echo", folder_);
  call(server, "Metadata", [] { return std::vector<http::Header>{{"authorization", "a\r\nb"}}; });
  ASSERT_TRUE(until([&] { return !handler_.ends.empty(); }));
  EXPECT_EQ(handler_.ends.front().code, GrpcCode::internal);
}

TEST_F(GrpcChannelTest, ReportsTheServersStatusAndText) {
  const Server server("echo", folder_);
  call(server, "Status");
  handler_.act_on_open = [this] { call_->send(bytes_of("x")); };
  ASSERT_TRUE(until([&] { return !handler_.ends.empty(); }));
  EXPECT_EQ(handler_.ends.front(),
            (GrpcStatus{GrpcCode::unknown, "authentication failed: n\xC3\xA4in ei"}));
  handler_.ends.clear();
  open("/test.Echo/Nothing");
  ASSERT_TRUE(until([&] { return !handler_.ends.empty(); }));
  EXPECT_EQ(handler_.ends.front().code, GrpcCode::unimplemented);
}

TEST_F(GrpcChannelTest, CarriesLargeMessagesThroughSmallWindows) {
  const Server server("echo", folder_);
  call(server, "Stream");
  const std::string large(std::size_t{5} * 1024 * 1024, 'l');
  http::Pressure pressure = http::Pressure::low;
  handler_.act_on_open = [&] {
    pressure = call_->send(bytes_of(large));
    call_->send(bytes_of(large));
  };
  ASSERT_TRUE(until([&] { return handler_.messages.size() == 2; }));
  EXPECT_EQ(pressure, http::Pressure::high);
  EXPECT_TRUE(handler_.messages[0] == large && handler_.messages[1] == large);
}

TEST_F(GrpcChannelTest, EndsACallWhoseMessageIsTooLarge) {
  options_.max_message = 1000;
  const Server server("echo", folder_);
  call(server, "Big");
  handler_.act_on_open = [this] {
    call_->send(bytes_of("1000"));
    call_->send(bytes_of("1001"));
  };
  ASSERT_TRUE(until([&] { return !handler_.ends.empty(); }));
  EXPECT_EQ(handler_.messages.size(), 1U);
  EXPECT_EQ(handler_.ends.front().code, GrpcCode::resource_exhausted);
}

TEST_F(GrpcChannelTest, CallsMayBeDestroyedInTheirCallbacks) {
  const Server server("echo", folder_);
  call(server, "Stream");
  handler_.act_on_open = [this] {
    call_->send(bytes_of("one"));
    call_->send(bytes_of("two"));
  };
  handler_.act_on_message = [this] { call_.reset(); };
  ASSERT_TRUE(until([&] { return handler_.messages.size() == 1; }));
  handler_.act_on_open = [this] { call_.reset(); };
  open("/test.Echo/Stream");
  ASSERT_TRUE(until([&] { return handler_.opens == 2; }));
  handler_.act_on_open = nullptr;
  handler_.act_on_end = [this] { call_.reset(); };
  open("/test.Echo/Nothing");
  ASSERT_TRUE(until([&] { return handler_.ends.size() == 1; }));
  EXPECT_EQ(handler_.messages.size(), 1U);
}

TEST_F(GrpcChannelTest, SpeaksToAUnixSocket) {
  const std::string path = folder_ + "/agent.sock";
  const Server server("echo", folder_, "unix:" + path);
  options_.targets.push_back({{}, std::nullopt, path});
  start();
  open("/test.Echo/Stream");
  handler_.act_on_open = [this] { call_->send(bytes_of("local")); };
  EXPECT_TRUE(until([&] { return handler_.messages.size() == 1; }));
}

TEST_F(GrpcChannelTest, FailsOverAndComesBack) {
  options_.backoff_cap = Milliseconds(100);
  auto server = std::make_unique<Server>("echo", folder_);
  const Server other("echo", folder_);
  target(server->port());
  target(other.port());
  start();
  handler_.act_on_open = [this] { call_->send(bytes_of("x")); };
  open("/test.Echo/Stream");
  ASSERT_TRUE(until([&] { return handler_.messages.size() == 1; }));
  server.reset();
  ASSERT_TRUE(until([&] { return handler_.ends.size() == 1; }));
  EXPECT_EQ(handler_.ends.front().code, GrpcCode::unavailable);
  open("/test.Echo/Stream");
  ASSERT_TRUE(until([&] { return handler_.messages.size() == 2; }));
  EXPECT_EQ(channel_->state().address, "127.0.0.1:" + std::to_string(other.port()));
}

TEST_F(GrpcChannelTest, NoticesAFrozenServer) {
  options_.ping_after = Milliseconds(1000);
  options_.ping_timeout = Milliseconds(3000);
  const Server server("echo", folder_);
  target(server.port());
  start();
  handler_.act_on_open = [this] { call_->send(bytes_of("x")); };
  open("/test.Echo/Stream");
  ASSERT_TRUE(until([&] { return handler_.messages.size() == 1; }));
  server.freeze();
  ASSERT_TRUE(until([&] { return !handler_.ends.empty(); }));
  EXPECT_EQ(handler_.ends.front(),
            (GrpcStatus{GrpcCode::unavailable, "the server gives no sign of life"}));
}

TEST_F(GrpcChannelTest, RefusesAServerOfAnotherNameOrCa) {
  write_certificate({"DNS:other.test", "IP:127.0.0.2"});
  const Server server("echo", folder_);
  target(server.port());
  start();
  ASSERT_TRUE(until([&] { return channel_->state().failures >= 1; }));
  EXPECT_THAT(channel_->state().last_error, HasSubstr("unexpected_peer"));
  options_.targets.front().address.host = "localhost";
  start();
  ASSERT_TRUE(until([&] { return channel_->state().failures >= 1; }));
  EXPECT_THAT(channel_->state().last_error, HasSubstr("unexpected_peer"));

  options_.targets.front().address.host = "127.0.0.1";
  options_.ca_pem = test::TestCa("other.test").cert_pem();
  start();
  ASSERT_TRUE(until([&] { return channel_->state().failures >= 1; }));
  EXPECT_THAT(channel_->state().last_error, HasSubstr("untrusted"));
}

TEST_F(GrpcChannelTest, GoesThroughAProxyAndTellsARefusal) {
  const Server server("echo", folder_);
  const Server way("proxy", folder_);
  target(server.port());
  options_.targets.front().proxy = HttpProxy{{"127.0.0.1", way.port()}, "user:secret"};
  start();
  open("/test.Echo/Stream");
  handler_.act_on_open = [this] { call_->send(bytes_of("x")); };
  ASSERT_TRUE(until([&] { return handler_.messages.size() == 1; }));
  EXPECT_EQ(way.line(), "connection");
  EXPECT_THAT(way.line(), HasSubstr("Proxy-Authorization: Basic dXNlcjpzZWNyZXQ="));

  const Server refusing("refusing-proxy", folder_);
  if (auto& proxy = options_.targets.front().proxy) proxy->address.port = refusing.port();
  start();
  ASSERT_TRUE(until([&] { return channel_->state().failures >= 1; }));
  EXPECT_THAT(channel_->state().last_error, HasSubstr("the proxy refused: 407"));
}

TEST_F(GrpcChannelTest, GivesUpOnServersThatNeverSettle) {
  options_.connect_timeout = Milliseconds(1000);
  expect_retries("silent", "does not answer in HTTP/2");
  options_.targets = {};
  expect_retries("half-settings", "does not answer in HTTP/2");
}
TEST_F(GrpcChannelTest, RefusesWhatIsNotHttp2) {
  expect_retries("no-http2", "broke HTTP/2");
}
TEST_F(GrpcChannelTest, RefusesAServerWithoutAlpn) {
  expect_retries("no-alpn", "ALPN");
}
TEST_F(GrpcChannelTest, ReconnectsAfterGoaway) {
  expect_retries("goaway", "HTTP/2 error 11");
}

TEST_F(GrpcChannelTest, EndsCallsThatOutliveGoaway) {
  options_.stall_timeout = Milliseconds(1000);
  EXPECT_EQ(end_of("goaway-after").code, GrpcCode::unavailable);
}
TEST_F(GrpcChannelTest, TellsAResetStream) {
  EXPECT_EQ(end_of("reset").code, GrpcCode::unavailable);
}
TEST_F(GrpcChannelTest, BoundsHeaders) {
  EXPECT_EQ(end_of("large-header").code, GrpcCode::internal);
}
TEST_F(GrpcChannelTest, BoundsEndlessHeaders) {
  EXPECT_NE(end_of("endless-headers").code, GrpcCode::ok);
}
TEST_F(GrpcChannelTest, RefusesGiantMessages) {
  EXPECT_EQ(end_of("giant-message").code, GrpcCode::resource_exhausted);
}
TEST_F(GrpcChannelTest, RefusesCompressedMessages) {
  EXPECT_EQ(end_of("compressed").code, GrpcCode::unimplemented);
}
TEST_F(GrpcChannelTest, TakesTrailersOnly) {
  EXPECT_EQ(end_of("trailers-only"), (GrpcStatus{GrpcCode::permission_denied, "no \xC3\xA9ntry"}));
}
TEST_F(GrpcChannelTest, AnEndWithoutAStatusIsUnknown) {
  EXPECT_EQ(end_of("no-status").code, GrpcCode::unknown);
}
TEST_F(GrpcChannelTest, EndsACallWhoseWindowNeverOpens) {
  options_.stall_timeout = Milliseconds(1000);
  EXPECT_EQ(end_of("no-window"), (GrpcStatus{GrpcCode::unavailable, "the server does not read"}));
}
TEST_F(GrpcChannelTest, EndsACallThatHasTooMuchToSend) {
  options_.max_message = 1000;
  options_.stall_timeout = Milliseconds(60000);
  const Server server("no-window", folder_);
  call(server, "Stream");
  handler_.act_on_open = [this] {
    for (int i = 0; i < 3; ++i)
      call_->send(bytes_of(std::string(900, 'x')));
  };
  ASSERT_TRUE(until([&] { return !handler_.ends.empty(); }));
  EXPECT_EQ(handler_.ends.front().code, GrpcCode::resource_exhausted);
}
TEST_F(GrpcChannelTest, EndsACallThatGetsNoStream) {
  options_.stall_timeout = Milliseconds(1000);
  EXPECT_EQ(end_of("no-streams"), (GrpcStatus{GrpcCode::unavailable, "the server does not read"}));
}
TEST_F(GrpcChannelTest, MapsHttpStatusCodes) {
  EXPECT_EQ(end_of("http-503").code, GrpcCode::unavailable);
}
TEST_F(GrpcChannelTest, ChecksTheContentType) {
  EXPECT_EQ(end_of("http-200"),
            (GrpcStatus{GrpcCode::unknown, "HTTP status 200, content-type text/html"}));
}
TEST_F(GrpcChannelTest, EndsACallThatIsCutInAMessage) {
  EXPECT_EQ(end_of("cut").code, GrpcCode::unavailable);
}
TEST_F(GrpcChannelTest, LeavesServersThatFlood) {
  expect_retries("ping-flood", "");
  options_.targets = {};
  expect_retries("settings-flood", "");
}

}  // namespace
}  // namespace mooring::discovery
