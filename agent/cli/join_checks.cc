#include "cli/join_checks.h"

#include <array>
#include <chrono>

#include <fmt/chrono.h>
#include <fmt/format.h>

#include "cli/text_table.h"

namespace mooring::cli {

namespace {

using std::chrono::duration_cast;
using std::chrono::seconds;

constexpr const char* kNewToken =
    "make a new one: kumactl generate dataplane-token --mesh MESH --workload WORKLOAD --valid-for "
    "720h";

std::string time_text(WallTime time) {
  return fmt::format("{:%Y-%m-%d %H:%M:%S} UTC",
                     fmt::gmtime(std::chrono::system_clock::to_time_t(time)));
}

std::string span_text(WallTime::duration span) {
  return show_span(duration_cast<seconds>(span).count());
}

Diagnostic wrong_token(std::string message, std::string hint) {
  return {"token", std::move(message), std::move(hint)};
}

std::optional<Diagnostic> check_times(const discovery::TokenClaims& claims, WallTime now) {
  if (claims.expires && *claims.expires <= now) {
    return wrong_token(
        fmt::format(
            "expired {} ago, at {}", span_text(now - *claims.expires), time_text(*claims.expires)),
        kNewToken);
  }
  if (claims.not_before && *claims.not_before > now) {
    return wrong_token(fmt::format("is valid from {} on, and here it is {}",
                                   time_text(*claims.not_before),
                                   time_text(now)),
                       "set this host's clock, or wait");
  }
  return std::nullopt;
}

std::optional<Diagnostic> check_restrictions(const discovery::TokenClaims& claims,
                                             const app::Dataplane& dataplane) {
  struct Restriction {
    const char* what;
    const char* option;
    const std::string& allowed;
    const std::string& own;
  };
  const std::array<Restriction, 3> restrictions{
      {{"mesh", "--mesh", claims.mesh, dataplane.mesh},
       {"name", "--name", claims.name, dataplane.name},
       {"workload", "--workload", claims.workload, dataplane.workload}}};
  for (const Restriction& each : restrictions) {
    if (each.allowed.empty() || each.allowed == each.own) continue;
    return wrong_token(
        fmt::format(
            "is for {} {}, and this host {}",
            each.what,
            printable(each.allowed),
            each.own.empty() ? fmt::format("names none") : fmt::format("is to be {}", each.own)),
        fmt::format(
            "use {} {}, or make a token for this host", each.option, printable(each.allowed)));
  }
  return std::nullopt;
}

}  // namespace

std::string url_of(const config::ControlPlaneAddress& address) {
  const bool is_v6 = address.host.find(':') != std::string::npos;
  return is_v6 ? fmt::format("https://[{}]:{}", address.host, address.port)
               : fmt::format("https://{}:{}", address.host, address.port);
}

TokenReport check_token(const std::optional<discovery::TokenClaims>& claims,
                        const app::Dataplane& dataplane,
                        WallTime now) {
  TokenReport report;
  if (!claims) {
    report.problem = wrong_token("is no dataplane token", kNewToken);
    return report;
  }
  report.problem = check_times(*claims, now);
  if (!report.problem) report.problem = check_restrictions(*claims, dataplane);
  if (report.problem) return report;
  if (!claims->expires) {
    report.warnings.emplace_back("the token never expires: who finds it is this host");
  } else if (*claims->expires - now > kLongTokenLife) {
    report.warnings.push_back(
        fmt::format("the token lives for {} more; 90 days are more than enough for a secret",
                    span_text(*claims->expires - now)));
  }
  if (claims->workload.empty() && !dataplane.workload.empty()) {
    report.warnings.emplace_back(
        "the token is for any workload: Kuma 3.0 refuses it where the identity comes from the "
        "workload");
  }
  return report;
}

std::string check_clock(std::optional<WallTime> theirs, WallTime ours) {
  if (!theirs) return {};
  const auto skew = duration_cast<seconds>(ours - *theirs);
  if (std::chrono::abs(skew) <= kMaxClockSkew) return {};
  return fmt::format(
      "this host's clock is {} {} the control plane's: certificates may look expired or not yet "
      "valid",
      show_span(std::chrono::abs(skew).count()),
      skew.count() > 0 ? "ahead of" : "behind");
}

}  // namespace mooring::cli
