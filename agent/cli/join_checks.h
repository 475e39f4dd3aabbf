// What `mooring join` looks at before it changes anything, as decisions over facts. Pure.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "app/dataplane.h"
#include "cli/exit_code.h"
#include "config/model.h"
#include "core/clock.h"
#include "core/result.h"
#include "discovery/credentials.h"

namespace mooring::cli {

/// Why a command ends, and with which code.
struct Failure {
  ExitCode code = ExitCode::failed;
  Diagnostic problem;
};

/// A longer life than this is warned of: a token that is lost is somebody else's for so long.
inline constexpr std::chrono::hours kLongTokenLife{90 * 24};
/// More than this between the two clocks is warned of: certificates of a mesh live for a day, and
/// are dated ten seconds back.
inline constexpr std::chrono::seconds kMaxClockSkew{60};

struct TokenReport {
  std::optional<Diagnostic> problem;  // the control plane would refuse it
  std::vector<std::string> warnings;
};
/// What the token says of itself, against what this host is going to be. `claims`: none for a text
/// that is no token.
[[nodiscard]] TokenReport check_token(const std::optional<discovery::TokenClaims>& claims,
                                      const app::Dataplane& dataplane,
                                      WallTime now);

/// A warning, or empty. `theirs`: the Date of an answer that came at `ours`.
[[nodiscard]] std::string check_clock(std::optional<WallTime> theirs, WallTime ours);

/// "https://cp:5678", "https://[::1]:5678".
[[nodiscard]] std::string url_of(const config::ControlPlaneAddress& address);

}  // namespace mooring::cli
