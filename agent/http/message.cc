#include "http/message.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <utility>

#include "core/ascii.h"

namespace mooring::http {

const std::string* find_header(const std::vector<Header>& headers,
                               std::string_view lower_case_name) noexcept {
  const auto found = std::find_if(headers.begin(), headers.end(), [&](const Header& header) {
    return header.name == lower_case_name;
  });
  return found == headers.end() ? nullptr : &found->value;
}

namespace {

std::optional<std::string> decode_percent(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i] == '+' ? ' ' : text[i];
      continue;
    }
    const int octet = percent_octet(text.substr(i));
    if (octet < 0) return std::nullopt;
    out += static_cast<char>(octet);
    i += 2;
  }
  return out;
}

}  // namespace

int percent_octet(std::string_view text) noexcept {
  if (text.size() < 3 || text[0] != '%') return -1;
  const int high = hex_digit(text[1]);
  const int low = hex_digit(text[2]);
  return high < 0 || low < 0 ? -1 : high * 16 + low;
}

std::optional<std::string> Request::parameter(std::string_view name) const {
  std::string_view rest = query;
  while (!rest.empty()) {
    const std::string_view pair = rest.substr(0, rest.find('&'));
    rest.remove_prefix(std::min(rest.size(), pair.size() + 1));
    const std::size_t equals = pair.find('=');
    if (pair.substr(0, equals) != name) continue;
    return equals == std::string_view::npos ? "" : decode_percent(pair.substr(equals + 1));
  }
  return std::nullopt;
}

std::string_view reason_phrase(int status) noexcept {
  constexpr std::array<std::pair<int, std::string_view>, 14> kPhrases{{
      {200, "OK"},
      {202, "Accepted"},
      {400, "Bad Request"},
      {403, "Forbidden"},
      {404, "Not Found"},
      {405, "Method Not Allowed"},
      {408, "Request Timeout"},
      {409, "Conflict"},
      {413, "Content Too Large"},
      {431, "Request Header Fields Too Large"},
      {500, "Internal Server Error"},
      {501, "Not Implemented"},
      {503, "Service Unavailable"},
      {505, "HTTP Version Not Supported"},
  }};
  const auto* found = std::find_if(kPhrases.begin(), kPhrases.end(), [status](const auto& phrase) {
    return phrase.first == status;
  });
  return found == kPhrases.end() ? "Unknown" : found->second;
}

std::string encode_response(const Response& response, bool keep_alive, bool head_only) {
  std::string out =
      fmt::format("HTTP/1.1 {} {}\r\nContent-Type: {}\r\nContent-Length: {}\r\nConnection: {}\r\n",
                  response.status,
                  reason_phrase(response.status),
                  response.content_type,
                  response.body.size(),
                  keep_alive ? "keep-alive" : "close");
  for (const Header& header : response.headers) {
    fmt::format_to(std::back_inserter(out), "{}: {}\r\n", header.name, header.value);
  }
  out += "\r\n";
  if (!head_only) out += response.body;
  return out;
}

}  // namespace mooring::http
