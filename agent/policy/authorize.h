// Who may talk to a service. Pure.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "snapshot/regexes.h"
#include "snapshot/resources.h"

namespace mooring::policy {

/// What rules look at. Views live as long as the call.
struct ConnFacts {
  bool is_authenticated = false;  // the peer has shown a certificate, and it holds
  std::span<const std::string_view> uri_names = {};  // of the peer's certificate
  std::span<const std::string_view> dns_names = {};
  std::string_view server_name = {};
  SocketAddress destination = {};  // the original one
  IpAddress source = {};
};

struct Verdict {
  bool allowed = false;
  std::string rule;    // its name: "allow spiffe://td/web", "deny ...", or empty: no rule matched
  std::string shadow;  // the shadow's rule where that decides otherwise, else empty
  bool shadow_allowed = false;  // what it decides then
};

/// All of `filters` must allow; the first one that denies is named, else the first that matched.
/// `regexes` are the listener's, null where it has none.
[[nodiscard]] Verdict authorize(const std::vector<snapshot::Authorization>& filters,
                                const ConnFacts& facts,
                                const snapshot::Regexes* regexes);

}  // namespace mooring::policy
