// What can go wrong, as a value. Text is made where a fault is seen, once; an Error only names it.
#pragma once

#include <cstdint>
#include <string>
#include <type_traits>

namespace mooring {

enum class Errc : std::uint16_t {
  bad_input,        // text or bytes that do not follow their grammar
  too_large,        // a stated bound was exceeded
  not_found,        // a file, name or entry that is not there
  permission,       // the kernel or a policy of the host said no
  unsupported,      // well-formed, and this program does not do it
  conflict,         // contradicts something that exists
  timed_out,        // a deadline passed
  closed,           // the other end went away in order
  reset,            // the other end went away without order
  refused,          // nobody listens, or a peer said no
  unreachable,      // no route to the address
  exhausted,        // descriptors, memory, ports or another resource of the host
  bad_certificate,  // a certificate, key or bundle that cannot be used
  untrusted,        // no path to a trust anchor
  expired,          // outside its validity period
  tls_protocol,     // the peer broke the TLS protocol or offers nothing we accept
  truncated,        // end of stream where more had to come (TLS: without close_notify)
  system,           // another system call failure; detail is errno
};

/// Snake-case name of the code, for logs.
[[nodiscard]] const char* to_string(Errc code) noexcept;

/// 16 bytes, trivially copyable. `detail` is an errno or a library's code, 0 if there is none;
/// `place` is a string literal that names the function or rule that failed.
struct Error {
  Errc code = Errc::bad_input;
  std::int32_t detail = 0;
  const char* place = "";

  friend bool operator==(const Error& a, const Error& b) noexcept {
    return a.code == b.code && a.detail == b.detail;
  }
};
static_assert(sizeof(Error) == 16 && std::is_trivially_copyable_v<Error>);

/// "refused in connect: Connection refused": for logs and command-line output.
[[nodiscard]] std::string describe(const Error& error);
/// "Connection refused"; from any thread.
[[nodiscard]] std::string errno_text(int value);

/// Maps errno to the nearest code and keeps it as detail.
[[nodiscard]] Error error_from_errno(int errno_value, const char* place) noexcept;

/// A failure that a person reads: configuration, enrolment, command line. `path` is a file or a
/// key, with line and column where they are known ("agent.toml:12:3"); `hint` says what to do and
/// may be empty.
struct Diagnostic {
  std::string path;
  std::string message;
  std::string hint;

  friend bool operator==(const Diagnostic&, const Diagnostic&) = default;
};

/// "path: message (hint)".
[[nodiscard]] std::string describe(const Diagnostic& diagnostic);

}  // namespace mooring
