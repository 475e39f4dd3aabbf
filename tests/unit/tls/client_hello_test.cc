#include "tls/client_hello.h"

#include <gtest/gtest.h>

#include <string>

#include "unit/tls/fixture.h"

namespace mooring::tls {
namespace {

Bytes bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text));
}

std::string number(std::size_t value, int width) {
  std::string text;
  for (int shift = 8 * (width - 1); shift >= 0; shift -= 8)
    text += static_cast<char>(value >> shift & 0xff);
  return text;
}
std::string vector(const std::string& content, int width) {
  return number(content.size(), width) + content;
}
std::string extension(std::size_t type, const std::string& content) {
  return number(type, 2) + vector(content, 2);
}
std::string alpn(const std::vector<std::string>& protocols) {
  std::string list;
  for (const std::string& protocol : protocols)
    list += vector(protocol, 1);
  return extension(16, vector(list, 2));
}
std::string message(const std::string& extensions) {
  const std::string body = "\3\3" + std::string(32, 'r') + vector("", 1) + vector("\x13\x01", 2) +
                           vector(std::string(1, '\0'), 1) + vector(extensions, 2);
  return "\1" + vector(body, 3);
}
/// In records of at most `size` bytes of payload.
std::string records(const std::string& handshake, std::size_t size = 16384) {
  std::string text;
  for (std::size_t at = 0; at < handshake.size(); at += size) {
    text += "\x16\x03\x01" + vector(handshake.substr(at, size), 2);
  }
  return text;
}

class InspectClientHello : public test::TlsFixture {
 protected:
  std::string hello(const Context::ClientOptions& options) {
    client(ca_.material(test::kWeb));
    auto session = client_->make_client(options);
    const Bytes sent = (*session)->start().to_peer;
    return {reinterpret_cast<const char*>(sent.data()), sent.size()};
  }
};

TEST_F(InspectClientHello, KnowsOurOwn) {
  const ClientHello seen = inspect_client_hello(
      bytes_of(hello({.sni = "db.mesh", .expected_peers = {}, .resume_key = ""})));
  EXPECT_EQ(seen.kind, FirstBytes::client_hello);
  EXPECT_TRUE(seen.is_mesh);
  EXPECT_TRUE(seen.offers_tls13);
  EXPECT_EQ(seen.sni, "db.mesh");
}

TEST_F(InspectClientHello, NeverTakesAnApplicationsTlsForOurs) {
  for (const char* protocol : {"", "h2", "http/1.1", "postgresql", "kum", "kuma2", "KUMA"}) {
    std::vector<std::string> offered;
    if (*protocol != '\0') offered.emplace_back(protocol);
    const ClientHello seen =
        inspect_client_hello(bytes_of(hello({.sni = "kuma", .alpn = offered})));
    EXPECT_EQ(seen.kind, FirstBytes::client_hello);
    EXPECT_FALSE(seen.is_mesh) << protocol;
    EXPECT_EQ(seen.alpn, offered);
  }
}

TEST_F(InspectClientHello, WaitsForTheLastByte) {
  const std::string whole = hello({.sni = "db.mesh", .expected_peers = {}, .resume_key = ""});
  for (std::size_t seen = 0; seen < whole.size(); ++seen) {
    ASSERT_EQ(inspect_client_hello(bytes_of(whole).first(seen)).kind, FirstBytes::need_more)
        << seen;
  }
  EXPECT_EQ(inspect_client_hello(bytes_of(whole + "early data")).kind, FirstBytes::client_hello);
}

TEST_F(InspectClientHello, JoinsRecords) {
  const std::string handshake = message(alpn({"h2", "kuma"}));
  for (const std::size_t size : {1U, 3U, 4U, 50U}) {
    const std::string cut = records(handshake, size);
    const ClientHello seen = inspect_client_hello(bytes_of(cut));
    EXPECT_EQ(seen.kind, FirstBytes::client_hello) << size;
    EXPECT_TRUE(seen.is_mesh) << size;
    EXPECT_EQ(inspect_client_hello(bytes_of(cut).first(cut.size() - 1)).kind,
              FirstBytes::need_more);
  }
}

TEST(InspectFirstBytes, RefusesWhatCannotBecomeAClientHello) {
  const std::vector<std::string> others{
      "G",
      "GET / HTTP/1.1",
      std::string("\0\0\0\x08\x04\xd2\x16\x2f", 8),
      "SSH-2.0-OpenSSH",
      "\x15\x03\x01",
      "\x16\x02",
      "\x16\x03\x05",
      std::string("\x16\x03\x01\x00\x00", 5),
      "\x16\x03\x01\x40\x01",
      std::string("\x16\x03\x01\x00\x04\x02\x00\x00\x00", 9),  // a ServerHello
      std::string("\x16\x03\x01\x00\x04\x01\x01\x00\x00", 9),  // 64 KiB of ClientHello
      records(message(extension(16, vector("x", 2)) + "y")),   // an extension that is cut off
      records(message("")).substr(0, 3) +
          std::string("\x00\x04\x01\x00\x00\x02\x16\x03\x01\x00\x02zz", 13),
  };
  for (const std::string& text : others) {
    EXPECT_EQ(inspect_client_hello(bytes_of(text)).kind, FirstBytes::not_tls)
        << testing::PrintToString(text);
  }
  EXPECT_EQ(inspect_client_hello({}).kind, FirstBytes::need_more);
}

TEST(InspectFirstBytes, ReadsAHelloWithoutExtensions) {
  const std::string body = "\3\3" + std::string(32, 'r') + vector("", 1) + vector("\xc0\x2b", 2) +
                           vector(std::string(1, '\0'), 1);
  const ClientHello seen = inspect_client_hello(bytes_of(records("\1" + vector(body, 3))));
  EXPECT_EQ(seen.kind, FirstBytes::client_hello);
  EXPECT_FALSE(seen.is_mesh);
  EXPECT_FALSE(seen.offers_tls13);
}

TEST(InspectFirstBytes, TakesTheLargestHelloAndNoLarger) {
  const std::size_t rest = message(extension(21, "")).size() - 4;
  const std::string largest = message(
      alpn({"kuma"}) + extension(21, std::string(16384 - rest - alpn({"kuma"}).size(), 'p')));
  EXPECT_TRUE(inspect_client_hello(bytes_of(records(largest))).is_mesh);
  const std::string larger = message(extension(21, std::string(16384 - rest + 1, 'p')));
  EXPECT_EQ(inspect_client_hello(bytes_of(records(larger))).kind, FirstBytes::not_tls);
}

TEST(InspectFirstBytes, GivesUpOnTinyRecordsWithoutEnd) {
  const std::string tiny = records(message(extension(21, std::string(8000, 'p'))), 1);
  EXPECT_GT(tiny.size(), kMaxClientHelloBytes);
  EXPECT_EQ(inspect_client_hello(bytes_of(tiny)).kind, FirstBytes::not_tls);
  EXPECT_EQ(inspect_client_hello(bytes_of(tiny).first(kMaxClientHelloBytes - 1)).kind,
            FirstBytes::need_more);
}

TEST(InspectFirstBytes, ReportsAServerNameOnlyWhenItIsOne) {
  const auto sni_of = [](const std::string& name) {
    const std::string list = vector(std::string(1, '\0') + vector(name, 2), 2);
    return inspect_client_hello(bytes_of(records(message(extension(0, list))))).sni;
  };
  EXPECT_EQ(sni_of("db.mesh"), "db.mesh");
  EXPECT_EQ(sni_of("db\nmesh"), "");
  EXPECT_EQ(sni_of(std::string(256, 'a')), "");
}

}  // namespace
}  // namespace mooring::tls
