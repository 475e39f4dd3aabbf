#include "http/first_bytes.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>

namespace mooring::http {
namespace {

FirstBytes seen(std::string_view text) {
  return inspect_first_bytes(std::as_bytes(std::span(text)));
}

TEST(HttpFirstBytes, TellTheVersion) {
  EXPECT_EQ(seen("GET / HTTP/1.1\r\n"), FirstBytes::http11);
  EXPECT_EQ(seen("GET / HTTP/1.1\nHost: x\n"), FirstBytes::http11);
  EXPECT_EQ(seen("POST http://a.test/b?c=d HTTP/1.0\r\nHost: a\r\n"), FirstBytes::http10);
  EXPECT_EQ(seen("M-SEARCH * HTTP/1.1\r\n"), FirstBytes::http11);
  EXPECT_EQ(seen("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nmore"), FirstBytes::http2);
}

TEST(HttpFirstBytes, WaitWhileItMayBeHttp) {
  for (const std::string_view whole :
       {"DELETE /a/b HTTP/1.1\r", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"}) {
    for (std::size_t size = 0; size < whole.size(); ++size)
      EXPECT_EQ(seen(whole.substr(0, size)), FirstBytes::need_more) << whole.substr(0, size);
    EXPECT_NE(seen(whole), FirstBytes::need_more);
  }
}

TEST(HttpFirstBytes, AreNoneOfHttpAsSoonAsThatIsKnown) {
  for (const std::string_view text : {"\x16\x03\x01",
                                      "SSH-2.0-OpenSSH\r\n",
                                      "EHLO mail.test\r\n",
                                      "get / HTTP/1.1\r\n",
                                      "FETCH / HTTP/1.1\r\n",
                                      "GETX",
                                      "GET  HTTP/1.1",
                                      "GET / \r\n",
                                      "GET /\r\n",
                                      "GET / HTTP/1.2",
                                      "GET / HTTP/2.0\r\n",
                                      "GET / HTTP/1.1 x\r\n",
                                      "GET /\x7f HTTP/1.1\r\n",
                                      "PRI / HTTP/2.0\r\n",
                                      " GET / HTTP/1.1\r\n"})
    EXPECT_EQ(seen(text), FirstBytes::other) << text;
}

TEST(HttpFirstBytes, GiveUpOnALineWithoutEnd) {
  const std::string line = "GET /" + std::string(kMaxRequestLineBytes, 'a');
  EXPECT_EQ(seen(std::string_view(line).substr(0, kMaxRequestLineBytes - 1)),
            FirstBytes::need_more);
  EXPECT_EQ(seen(std::string_view(line).substr(0, kMaxRequestLineBytes)), FirstBytes::other);
}

}  // namespace
}  // namespace mooring::http
