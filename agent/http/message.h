// HTTP messages as plain values.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace mooring::http {

enum class Method : std::uint8_t { get, head, post };

struct Header {
  std::string name;  // lower case
  std::string value;

  friend bool operator==(const Header&, const Header&) = default;
};

/// Null if there is none; the first if there are several.
[[nodiscard]] const std::string* find_header(const std::vector<Header>& headers,
                                             std::string_view lower_case_name) noexcept;

/// The octet of the "%XX" that `text` begins with (RFC 3986 §2.1); -1 where it does not.
[[nodiscard]] int percent_octet(std::string_view text) noexcept;

struct Request {
  Method method = Method::get;
  std::string path;   // as sent, begins with '/', without the query
  std::string query;  // without '?'
  std::vector<Header> headers{};
  std::string body{};
  bool keep_alive = true;

  [[nodiscard]] const std::string* header(std::string_view lower_case_name) const noexcept {
    return find_header(headers, lower_case_name);
  }
  /// Decoded value of "name=value" in the query; empty if it is not there or its encoding is
  /// broken.
  [[nodiscard]] std::optional<std::string> parameter(std::string_view name) const;

  friend bool operator==(const Request&, const Request&) = default;
};

struct Response {
  int status = 200;
  std::string content_type = "text/plain; charset=utf-8";
  std::string body{};
  std::vector<Header> headers{};  // beyond Content-Type, Content-Length and Connection
};

/// "Not Found"; "Unknown" for a status that we do not use.
[[nodiscard]] std::string_view reason_phrase(int status) noexcept;

/// `head_only` answers HEAD: the length without the body.
[[nodiscard]] std::string encode_response(const Response& response,
                                          bool keep_alive,
                                          bool head_only);

}  // namespace mooring::http
