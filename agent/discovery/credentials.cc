#include "discovery/credentials.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "core/base64.h"
#include "core/file.h"

namespace mooring::discovery {

namespace {

// A token with a 4096-bit signature and ten tags has less than 2 KiB, and it has to fit into a
// header field.
constexpr std::size_t kMaxTokenBytes = std::size_t{16} * 1024;
constexpr std::string_view kCredential = "credential:";
constexpr std::string_view kSpace = " \t\r\n";

std::string_view trimmed(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(kSpace);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kSpace) - begin + 1);
}

Diagnostic unreadable(const std::string& path, const Error& error) {
  if (error.code == Errc::not_found)
    return {path, "the token file is not there", "make a token and write it into this file"};
  if (error.code == Errc::permission)
    return {path, "the token file may not be read", "make it readable for the agent's user"};
  if (error.code == Errc::too_large)
    return {path, "the token file has more than 16 KiB", "is it the right file?"};
  return {path, "the token file cannot be read: " + describe(error), ""};
}

std::string text_of(const nlohmann::json& claims, const char* name) {
  const auto found = claims.find(name);
  return found != claims.end() && found->is_string() ? found->get<std::string>() : std::string();
}

// Seconds since 1970, a fraction possible (RFC 7519 §2, NumericDate).
std::optional<WallTime> time_of(const nlohmann::json& claims, const char* name) {
  const auto found = claims.find(name);
  if (found == claims.end() || !found->is_number()) return std::nullopt;
  constexpr double kLatest = 9.0e9;  // the year 2255; the clock's nanoseconds end in 2262
  const auto seconds = found->get<double>();
  if (!std::isfinite(seconds)) return std::nullopt;
  return WallTime(std::chrono::seconds(
      static_cast<std::int64_t>(std::clamp(std::floor(seconds), 0.0, kLatest))));
}

}  // namespace

Checked<std::string> token_path(std::string_view configured, const char* credentials_directory) {
  if (!configured.starts_with(kCredential)) return std::string(configured);
  const std::string_view name = configured.substr(kCredential.size());
  if (name.empty() || name.starts_with('.') || name.find('/') != std::string_view::npos)
    return fail(Diagnostic{std::string(configured), "is no name of a credential", ""});
  if (credentials_directory == nullptr || *credentials_directory == '\0') {
    return fail(Diagnostic{std::string(configured),
                           "the service manager hands no credentials to this process",
                           fmt::format("add LoadCredential={}:FILE to the unit", name)});
  }
  return fmt::format("{}/{}", credentials_directory, name);
}

bool TokenFile::is_same(const Stamp& a, const Stamp& b) noexcept {
  const auto is_at = [](const timespec& x, const timespec& y) {
    return x.tv_sec == y.tv_sec && x.tv_nsec == y.tv_nsec;
  };
  return a.device == b.device && a.inode == b.inode && a.size == b.size &&
         is_at(a.modified, b.modified) && is_at(a.changed, b.changed);
}

Checked<bool> TokenFile::refresh() {
  struct stat info{};
  if (::stat(path_.c_str(), &info) != 0)
    return fail(unreadable(path_, error_from_errno(errno, "stat")));
  const Stamp stamp{info.st_dev, info.st_ino, info.st_size, info.st_mtim, info.st_ctim};
  if (stamp_ && is_same(*stamp_, stamp)) return false;
  const auto content = read_file(path_, kMaxTokenBytes);
  if (!content) return fail(unreadable(path_, content.error()));
  const std::string_view token = trimmed(*content);
  if (token.empty()) return fail(Diagnostic{path_, "the token file is empty", "make a new token"});
  const auto is_part = [](char c) { return c > ' ' && c < '\x7f'; };  // of a header field
  if (!std::all_of(token.begin(), token.end(), is_part)) {
    return fail(Diagnostic{
        path_, "there is more in the file than one token", "it holds the token and nothing else"});
  }
  stamp_ = stamp;
  warning_ = (info.st_mode & 0007U) != 0
                 ? fmt::format(
                       "{}: every user of this host can read or change the token (chmod "
                       "640)",
                       path_)
                 : "";
  const bool is_other = token != token_;
  token_ = token;
  return is_other;
}

std::optional<TokenClaims> parse_token_claims(std::string_view token) {
  const std::size_t first = token.find('.');
  if (first == std::string_view::npos || token.size() > kMaxTokenBytes) return std::nullopt;
  const std::size_t second = token.find('.', first + 1);
  if (second == std::string_view::npos) return std::nullopt;
  const auto payload = decode_base64(token.substr(first + 1, second - first - 1));
  if (!payload) return std::nullopt;
  const auto claims = nlohmann::json::parse(*payload, nullptr, /*allow_exceptions=*/false);
  if (!claims.is_object()) return std::nullopt;
  return TokenClaims{.name = text_of(claims, "Name"),
                     .mesh = text_of(claims, "Mesh"),
                     .workload = text_of(claims, "Workload"),
                     .expires = time_of(claims, "exp"),
                     .not_before = time_of(claims, "nbf")};
}

}  // namespace mooring::discovery
