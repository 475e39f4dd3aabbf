// The token that a control plane knows this host by: where it is, what it says, and whether it has
// changed. On the control loop, and in commands. No text that leaves here has the token in it.
#pragma once

#include <sys/stat.h>

#include <optional>
#include <string>
#include <string_view>

#include "core/clock.h"
#include "core/result.h"

namespace mooring::discovery {

/// Where a token is: `configured` is a path, or "credential:NAME" for what systemd hands to the
/// unit (LoadCredential=), whose folder is $CREDENTIALS_DIRECTORY.
[[nodiscard]] Checked<std::string> token_path(std::string_view configured,
                                              const char* credentials_directory);

/// A file with a token. Whoever replaced it need not tell us.
class TokenFile {
 public:
  explicit TokenFile(std::string path) : path_(std::move(path)) {}

  /// Reads it, if it is another than at the last call; true if the token is. After a failure the
  /// last good one stays.
  [[nodiscard]] Checked<bool> refresh();
  /// Without white space around it; empty before the first success.
  [[nodiscard]] const std::string& token() const noexcept { return token_; }
  [[nodiscard]] const std::string& path() const noexcept { return path_; }
  /// Others on this host could read it too; empty if not.
  [[nodiscard]] const std::string& warning() const noexcept { return warning_; }

 private:
  struct Stamp {
    dev_t device = 0;
    ino_t inode = 0;
    off_t size = 0;
    timespec modified{};
    timespec changed{};
  };
  [[nodiscard]] static bool is_same(const Stamp& a, const Stamp& b) noexcept;

  std::string path_;
  std::string token_;
  std::string warning_;
  std::optional<Stamp> stamp_;  // of the file that token_ is from
};

/// What a token says of itself. Nothing is verified: for messages, never for a decision.
struct TokenClaims {
  std::string name{};  // empty: any
  std::string mesh{};
  std::string workload{};
  std::optional<WallTime> expires{};
  std::optional<WallTime> not_before{};

  friend bool operator==(const TokenClaims&, const TokenClaims&) = default;
};
/// Of a JWT as Kuma makes them (claims Name, Mesh, Workload, exp, nbf); none if it is something
/// else.
[[nodiscard]] std::optional<TokenClaims> parse_token_claims(std::string_view token);

}  // namespace mooring::discovery
