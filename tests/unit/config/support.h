// Texts of agent.toml for tests, and what parse() says about them.
#pragma once

#include <gmock/gmock.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "config/load.h"

namespace mooring::config {

/// The least that is a configuration: two lines, so that what a test appends begins at line 3.
inline constexpr std::string_view kHostText = "[host]\ntrust_domain = \"shop.example\"\n";

inline constexpr std::string_view kUpstreamText = R"([[upstream]]
name = "shop-db"
addresses = ["10.0.0.3"]
ports = [5432]
spiffe_ids = ["spiffe://shop.example/db"]
)";

/// The least that joins a control plane; needs no [host].
inline constexpr std::string_view kControlPlaneText = R"([control_plane]
addresses = ["https://cp.example:5678"]
ca_file = "/etc/mooring/cp-ca.pem"
token_file = "/etc/mooring/token"
)";

inline std::string joined_with(std::string_view rest) {
  return std::string(kControlPlaneText) + std::string(rest);
}

inline std::string host_with(std::string_view rest) {
  return std::string(kHostText) + std::string(rest);
}

inline std::vector<Diagnostic> problems_of(std::vector<SourceText> sources) {
  auto parsed = parse(sources);
  return parsed ? std::vector<Diagnostic>{} : std::move(parsed.error());
}

inline std::vector<Diagnostic> problems_of(std::string_view text) {
  return problems_of(std::vector<SourceText>{{"agent.toml", std::string(text)}});
}

/// Of a text that must be accepted.
inline AgentConfig config_of(std::string_view text) {
  auto parsed = parse({{"agent.toml", std::string(text)}});
  if (parsed) return std::move(*parsed);
  for (const Diagnostic& problem : parsed.error())
    ADD_FAILURE() << describe(problem);
  return {};
}

/// One problem "path: message (hint)", or all of them when there is not exactly one.
inline std::string only_problem(std::string_view text) {
  const auto problems = problems_of(text);
  std::string all;
  for (const Diagnostic& problem : problems)
    all += (all.empty() ? "" : "\n") + describe(problem);
  return all;
}

}  // namespace mooring::config
