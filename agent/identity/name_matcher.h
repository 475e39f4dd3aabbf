// Which names a peer may have (envoy.extensions.transport_sockets.tls.v3.SubjectAltNameMatcher).
// Pure; any thread.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>

#include "identity/names.h"

namespace mooring::identity {

struct NameMatcher {
  enum class Kind : std::uint8_t { exact, prefix, suffix, contains, regex };
  NameType type = NameType::uri;
  Kind kind = Kind::exact;
  std::string text = {};     // of a regex: only to be shown
  bool ignore_case = false;  // ASCII; not for a regex
  /// Kind::regex: does it match the whole name? Called by any thread. Empty: nothing matches.
  std::function<bool(std::string_view)> regex = {};
};

/// Of the matcher's type, and its text fits. A DNS name that is asked for exactly is compared
/// without case, and a certificate's name may have a wildcard in place of its first label (RFC 6125
/// §6.4.3); a wildcard within a label stands for nothing.
[[nodiscard]] bool matches(const NameMatcher& matcher, const Name& name);

/// Does some name fit some matcher? Without matchers every peer that is trusted is meant.
[[nodiscard]] bool is_expected(std::span<const NameMatcher> matchers, const Names& names);

}  // namespace mooring::identity
