// Hosts in FIPS mode: what they may run.
#pragma once

#include <optional>
#include <string>

#include "core/error.h"

namespace mooring::tls {

/// What the decision rests on.
struct FipsFacts {
  bool is_bundled = false;       // OpenSSL is linked in, and so is not the host's validated module
  std::string fips_enabled;      // content of /proc/sys/crypto/fips_enabled; empty if there is none
  std::string allowed_non_fips;  // value of kAllowNonFips; empty if it is not set
};

/// "1" lets the bundled build start on a host in FIPS mode, with a warning in the log.
inline constexpr const char* kAllowNonFips = "MOORING_ALLOW_NON_FIPS";

/// Reads them from the host. Before threads start: it looks at the environment.
[[nodiscard]] FipsFacts read_fips_facts();

/// True on a host whose administrator asked for validated cryptography.
[[nodiscard]] bool is_fips_host(const FipsFacts& facts);

/// Why this build must not start there; nothing if it may.
[[nodiscard]] std::optional<Diagnostic> refuse_on_fips_host(const FipsFacts& facts);

}  // namespace mooring::tls
