// Result<T>: a value or an Error. AGENT_CHECK: our own invariants, always compiled in.
#pragma once

#include <cstdio>
#include <cstdlib>

#include <tl/expected.hpp>

#include "core/error.h"

namespace mooring {

template <class T>
using Result = tl::expected<T, Error>;

/// Human-facing counterpart, for configuration and the command line.
template <class T>
using Checked = tl::expected<T, Diagnostic>;

[[nodiscard]] inline tl::unexpected<Error> fail(Errc code,
                                                const char* place,
                                                int detail = 0) noexcept {
  return tl::unexpected<Error>(Error{code, detail, place});
}
[[nodiscard]] inline tl::unexpected<Error> fail(const Error& error) noexcept {
  return tl::unexpected<Error>(error);
}
[[nodiscard]] inline tl::unexpected<Error> fail_errno(int errno_value, const char* place) noexcept {
  return tl::unexpected<Error>(error_from_errno(errno_value, place));
}
[[nodiscard]] inline tl::unexpected<Diagnostic> fail(Diagnostic diagnostic) {
  return tl::unexpected<Diagnostic>(std::move(diagnostic));
}

}  // namespace mooring

/// For invariants of our own. Never for what a peer, a file or the environment can cause.
#define AGENT_CHECK(condition)                                                                 \
  do {                                                                                         \
    if (!(condition)) [[unlikely]] {                                                           \
      std::fprintf(stderr, "invariant broken at %s:%d: %s\n", __FILE__, __LINE__, #condition); \
      std::abort();                                                                            \
    }                                                                                          \
  } while (false)
