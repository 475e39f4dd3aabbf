#include "core/error.h"

#include <cerrno>
#include <cstring>

#include <fmt/format.h>

namespace mooring {

const char* to_string(Errc code) noexcept {
  switch (code) {
    case Errc::bad_input:
      return "bad_input";
    case Errc::too_large:
      return "too_large";
    case Errc::not_found:
      return "not_found";
    case Errc::permission:
      return "permission";
    case Errc::unsupported:
      return "unsupported";
    case Errc::conflict:
      return "conflict";
    case Errc::timed_out:
      return "timed_out";
    case Errc::closed:
      return "closed";
    case Errc::reset:
      return "reset";
    case Errc::refused:
      return "refused";
    case Errc::unreachable:
      return "unreachable";
    case Errc::exhausted:
      return "exhausted";
    case Errc::bad_certificate:
      return "bad_certificate";
    case Errc::untrusted:
      return "untrusted";
    case Errc::expired:
      return "expired";
    case Errc::tls_protocol:
      return "tls_protocol";
    case Errc::truncated:
      return "truncated";
    case Errc::system:
      return "system";
  }
  return "invalid";
}

// glibc's strerrordesc_np would be shorter, but needs 2.32.
std::string errno_text(int value) {
  char buffer[128];
  return strerror_r(value, buffer, sizeof buffer);
}

namespace {

bool detail_is_errno(Errc code) {
  return code != Errc::tls_protocol && code != Errc::bad_certificate && code != Errc::untrusted &&
         code != Errc::expired;
}

}  // namespace

std::string describe(const Error& error) {
  std::string text = fmt::format("{} in {}", to_string(error.code), error.place);
  if (error.detail == 0) return text;
  return detail_is_errno(error.code) ? fmt::format("{}: {}", text, errno_text(error.detail))
                                     : fmt::format("{} ({})", text, error.detail);
}

Error error_from_errno(int errno_value, const char* place) noexcept {
  Errc code = Errc::system;
  switch (errno_value) {
    case ECONNREFUSED:
      code = Errc::refused;
      break;
    case ECONNRESET:
    case EPIPE:
    case ECONNABORTED:
      code = Errc::reset;
      break;
    case ETIMEDOUT:
      code = Errc::timed_out;
      break;
    case ENETUNREACH:
    case EHOSTUNREACH:
    case EADDRNOTAVAIL:
      code = Errc::unreachable;
      break;
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM:
    case ENOSPC:
      code = Errc::exhausted;
      break;
    case ENOENT:
    case ESRCH:
      code = Errc::not_found;
      break;
    case EACCES:
    case EPERM:
      code = Errc::permission;
      break;
    case EEXIST:
    case EADDRINUSE:
      code = Errc::conflict;
      break;
    default:
      break;
  }
  return Error{code, errno_value, place};
}

std::string describe(const Diagnostic& diagnostic) {
  std::string text =
      diagnostic.path.empty() ? diagnostic.message : diagnostic.path + ": " + diagnostic.message;
  if (!diagnostic.hint.empty()) text += " (" + diagnostic.hint + ")";
  return text;
}

}  // namespace mooring
