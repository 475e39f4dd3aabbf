#include "http/first_bytes.h"

#include <algorithm>
#include <array>
#include <string_view>

namespace mooring::http {

namespace {

constexpr std::string_view kPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

// RFC 9110 §9, RFC 5789, and those of WebDAV and UPnP that servers know.
constexpr std::array<std::string_view, 34> kMethods{
    "ACL",       "BIND",  "CHECKOUT", "CONNECT",  "COPY",   "DELETE",     "GET",
    "HEAD",      "LINK",  "LOCK",     "M-SEARCH", "MERGE",  "MKACTIVITY", "MKCALENDAR",
    "MKCOL",     "MOVE",  "NOTIFY",   "OPTIONS",  "PATCH",  "POST",       "PROPFIND",
    "PROPPATCH", "PURGE", "PUT",      "REBIND",   "REPORT", "SEARCH",     "SOURCE",
    "SUBSCRIBE", "TRACE", "UNBIND",   "UNLINK",   "UNLOCK", "UNSUBSCRIBE"};

bool begins_like_a_method(std::string_view text) noexcept {
  return std::any_of(kMethods.begin(), kMethods.end(), [&](std::string_view method) {
    return method.starts_with(text);
  });
}

bool is_target_byte(char c) noexcept {
  return c > ' ' && c != '\x7f';
}

FirstBytes version_of(std::string_view text) noexcept {
  if (text == "HTTP/1.1") return FirstBytes::http11;
  if (text == "HTTP/1.0") return FirstBytes::http10;
  return FirstBytes::other;
}

// "METHOD target HTTP/1.x", its end included or still to come.
FirstBytes inspect_request_line(std::string_view text) noexcept {
  const std::size_t method_end = text.find(' ');
  const std::string_view method = text.substr(0, method_end);
  if (method_end == std::string_view::npos)
    return begins_like_a_method(method) ? FirstBytes::need_more : FirstBytes::other;
  if (std::find(kMethods.begin(), kMethods.end(), method) == kMethods.end())
    return FirstBytes::other;
  std::string_view rest = text.substr(method_end + 1);
  const std::size_t target_end = static_cast<std::size_t>(
      std::find_if_not(rest.begin(), rest.end(), is_target_byte) - rest.begin());
  if (target_end == rest.size()) return FirstBytes::need_more;
  if (target_end == 0 || rest[target_end] != ' ') return FirstBytes::other;
  rest = rest.substr(target_end + 1);
  const std::size_t line_end = rest.find_first_of("\r\n");
  if (line_end != std::string_view::npos) return version_of(rest.substr(0, line_end));
  const bool may_become = std::string_view("HTTP/1.1").starts_with(rest) ||
                          std::string_view("HTTP/1.0").starts_with(rest);
  return may_become ? FirstBytes::need_more : FirstBytes::other;
}

}  // namespace

FirstBytes inspect_first_bytes(Bytes bytes) noexcept {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()),
                              std::min(bytes.size(), kMaxRequestLineBytes));
  if (text.starts_with(kPreface)) return FirstBytes::http2;
  if (kPreface.starts_with(text)) return FirstBytes::need_more;
  const FirstBytes seen = inspect_request_line(text);
  return seen == FirstBytes::need_more && bytes.size() >= kMaxRequestLineBytes ? FirstBytes::other
                                                                               : seen;
}

}  // namespace mooring::http
