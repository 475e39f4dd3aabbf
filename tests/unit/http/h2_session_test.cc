#include "http/h2_session.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <span>

namespace mooring::http {
namespace {

using testing::ElementsAre;

enum Type : std::uint8_t {
  data = 0,
  headers = 1,
  rst = 3,
  settings = 4,
  ping = 6,
  goaway = 7,
  window = 8,
  continuation = 9
};

std::string number(std::uint32_t value, unsigned bytes = 4) {
  std::string out;
  for (unsigned i = bytes; i-- > 0;)
    out += static_cast<char>(value >> (8 * i) & 0xffU);
  return out;
}
std::string frame(Type type,
                  std::uint8_t flags,
                  std::uint32_t stream,
                  std::string_view payload = {}) {
  return number(static_cast<std::uint32_t>(payload.size()), 3) + static_cast<char>(type) +
         static_cast<char>(flags) + number(stream) + std::string(payload);
}
std::string field(std::string_view name, std::string_view value) {  // RFC 7541 §6.2.2, short
  return std::string(1, '\0') + static_cast<char>(name.size()) + std::string(name) +
         static_cast<char>(value.size()) + std::string(value);
}
constexpr std::uint8_t kEnd = 1;
constexpr std::uint8_t kWhole = 4;
constexpr std::uint32_t kDefaultWindow = 65535;

class Client final : public H2Events {
 public:
  explicit Client(const H2Limits& limits = {}) : session(limits, *this) {}

  void on_settings() override { log.emplace_back("settings"); }
  void on_headers(StreamId, std::vector<Header> fields) override {
    log.push_back("headers " + fields.front().value);
  }
  void on_data(StreamId stream, Bytes bytes) override {
    body.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    if (consumes) session.consume(stream, bytes.size());
  }
  void on_trailers(StreamId, std::vector<Header> fields) override {
    log.push_back("trailers " + fields.front().value);
  }
  void on_end(StreamId) override { log.emplace_back("end"); }
  void on_closed(StreamId, std::uint32_t error) override {
    log.push_back("closed " + std::to_string(error));
  }
  void on_drained(StreamId) override { log.emplace_back("drained"); }
  void on_goaway(std::uint32_t error, StreamId) override {
    log.push_back("goaway " + std::to_string(error));
  }

  StreamId open() {
    return session
        .open({{":method", "POST"}, {":scheme", "https"}, {":path", "/"}, {":authority", "a"}})
        .value();
  }
  Result<void> feed(std::string_view bytes, std::size_t piece = std::string_view::npos) {
    while (!bytes.empty()) {
      const std::string_view now = bytes.substr(0, piece);
      bytes.remove_prefix(now.size());
      if (auto fed = session.feed(std::as_bytes(std::span(now))); !fed) return fed;
    }
    return {};
  }
  std::size_t output() {
    std::size_t count = 0;
    while (true) {
      const Bytes bytes = session.output();
      if (bytes.empty()) return count;
      count += bytes.size();
    }
  }

  std::vector<std::string> log;
  std::string body;
  bool consumes = true;
  H2Session session;
};

const std::string kResponse =
    frame(settings, 0, 0) + frame(headers, kWhole, 1, field(":status", "103")) +
    frame(headers, kWhole, 1, field(":status", "200")) + frame(data, 0, 1, "hello ") +
    frame(data, 0, 1, "world") + frame(headers, kWhole | kEnd, 1, field("grpc-status", "0"));

TEST(H2Session, GivesTheSameEventsInAnyPieces) {
  for (std::size_t piece = 1; piece <= kResponse.size(); ++piece) {
    Client client;
    const StreamId stream = client.open();
    client.session.send(stream, {}, true);
    client.output();
    ASSERT_TRUE(client.feed(kResponse, piece));
    EXPECT_THAT(client.log,
                ElementsAre("settings", "headers 200", "trailers 0", "end", "closed 0"));
    EXPECT_EQ(client.body, "hello world");
  }
}

TEST(H2Session, SendsAsFarAsTheWindowGoes) {
  Client client;
  const StreamId stream = client.open();
  client.output();
  const std::string large(300 * 1024, 'x');
  EXPECT_EQ(client.session.send(stream, std::as_bytes(std::span(large)), true), Pressure::high);
  client.output();
  EXPECT_EQ(client.session.unsent(stream), large.size() - kDefaultWindow);
  ASSERT_TRUE(client.feed(frame(settings, 0, 0) + frame(window, 0, 0, number(1 << 20)) +
                          frame(window, 0, 1, number(1 << 20))));
  client.output();
  EXPECT_EQ(client.session.unsent(stream), 0U);
  EXPECT_THAT(client.log, ElementsAre("settings", "drained"));
}

TEST(H2Session, OpensThePeersWindowOnlyAsBytesAreConsumed) {
  for (const bool consumes : {false, true}) {
    H2Limits limits;
    limits.stream_window = 32 * 1024;
    Client client(limits);
    client.consumes = consumes;
    client.open();
    client.output();
    ASSERT_TRUE(client.feed(frame(settings, 0, 0) + frame(settings, 1, 0) +
                            frame(headers, kWhole, 1, field(":status", "200"))));
    client.output();
    const std::string piece(16 * 1024, 'x');
    ASSERT_TRUE(client.feed(frame(data, 0, 1, piece) + frame(data, 0, 1, piece)));
    EXPECT_EQ(client.output() > 0, consumes);
    // One more byte than the window: only legal where it was opened.
    ASSERT_TRUE(client.feed(frame(data, 0, 1, "y")));
    client.output();
    EXPECT_THAT(client.log, testing::Contains("closed 3").Times(consumes ? 0 : 1));
  }
}

TEST(H2Session, TheConnectionsWindowSurvivesStreamsThatAreReset) {
  H2Limits limits;
  limits.connection_window = 128 * 1024;
  Client client(limits);
  client.consumes = false;
  const std::string piece(16 * 1024, 'x');
  ASSERT_TRUE(client.feed(frame(settings, 0, 0)));
  for (std::uint32_t i = 0; i < 64; ++i) {
    const StreamId stream = client.open();
    client.output();
    const auto id = static_cast<std::uint32_t>(stream);
    ASSERT_TRUE(client.feed(frame(headers, kWhole, id, field(":status", "200")) +
                            frame(data, 0, id, piece)));
    client.session.reset(stream, kH2Cancel);
    client.output();
  }
  EXPECT_EQ(client.body.size(), 64 * piece.size());
}

TEST(H2Session, BoundsABlockOfHeaders) {
  H2Limits limits;
  limits.header_bytes = 400;
  Client client(limits);
  client.open();
  client.output();
  const std::string filler = field("x-filler", std::string(100, 'y'));
  ASSERT_TRUE(
      client.feed(frame(settings, 0, 0) +
                  frame(headers, kWhole, 1, field(":status", "200") + filler + filler + filler)));
  client.output();
  EXPECT_THAT(client.log, ElementsAre("settings", "closed 2"));
}

TEST(H2Session, EndsWithAFlood) {
  for (const std::string& piece : {frame(ping, 0, 0, "12345678"), frame(settings, 0, 0)}) {
    Client client;
    client.output();
    ASSERT_TRUE(client.feed(frame(settings, 0, 0)));
    Result<void> fed;
    for (int i = 0; i < 200 && fed; ++i)
      fed = client.feed(piece);
    EXPECT_FALSE(fed);
  }
}

TEST(H2Session, ReportsResetsAndGoaway) {
  Client client;
  client.open();
  const StreamId second = client.open();
  client.output();
  ASSERT_TRUE(client.feed(frame(settings, 0, 0) + frame(rst, 0, 1, number(kH2EnhanceYourCalm)) +
                          frame(goaway, 0, 0, number(1) + number(0))));
  EXPECT_EQ(second, 3);
  EXPECT_THAT(client.log, ElementsAre("settings", "closed 11", "goaway 0", "closed 7"));
  EXPECT_EQ(client.session.open({{":method", "POST"}}).error().code, Errc::closed);
}

TEST(H2Session, AStreamThatWaitsEndsWithGoaway) {
  Client client;
  ASSERT_TRUE(client.feed(frame(settings, 0, 0, number(3, 2) + number(0))));  // no stream at all
  client.open();
  client.output();
  ASSERT_TRUE(client.feed(frame(goaway, 0, 0, number(0) + number(0))));
  client.output();
  EXPECT_THAT(client.log, ElementsAre("settings", "goaway 0", "closed 7"));
}

TEST(H2Session, RefusesWhatIsNotHttp2) {
  Client client;
  client.output();
  const auto fed = client.feed("HTTP/1.1 400 Bad Request\r\n\r\n");
  EXPECT_GT(client.output(), 0U);  // GOAWAY
  EXPECT_TRUE(!fed || client.session.is_finished());
}

TEST(H2Session, RefusesValuesWithLineEnds) {
  Client client;
  EXPECT_EQ(client.session.open({{":method", "POST"}, {"authorization", "a\nb"}}).error().code,
            Errc::bad_input);
}

}  // namespace
}  // namespace mooring::http
