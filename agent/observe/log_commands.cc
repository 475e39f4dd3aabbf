#include "observe/log_commands.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <ctime>

#include "core/escape.h"
#include "observe/log_format.h"

namespace mooring::observe {

namespace {

using Facts = LogCommand::Facts;

// ---- what the commands print; an empty string becomes "-"

std::string text(const std::string& value, std::size_t max_bytes = 256) {
  return escape_peer_text(value, max_bytes);
}

std::string identity(const std::string& value) {
  return text(value, 2048);
}

std::string address(const SocketAddress& value) {
  return value.port == 0 ? "" : value.to_string();
}

std::string ip(const SocketAddress& value) {
  return value.port == 0 ? "" : value.ip.to_string();
}

std::string port(const SocketAddress& value) {
  return value.port == 0 ? "" : std::to_string(value.port);
}

bool is_tls_side(const AccessRecord& record, Direction side) {
  return record.direction == side;
}

std::string tls_text(const AccessRecord& record, Direction side, const std::string& value) {
  return is_tls_side(record, side) ? identity(value) : "";
}

bool is_tls_failure(CloseReason reason) {
  switch (reason) {
    case CloseReason::plaintext_refused:
    case CloseReason::handshake_timeout:
    case CloseReason::handshake_failed:
    case CloseReason::no_peer_certificate:
    case CloseReason::peer_untrusted:
    case CloseReason::peer_expired:
    case CloseReason::bad_identity:
    case CloseReason::unexpected_peer:
    case CloseReason::peer_rejected_us:
    case CloseReason::late_tls:
    case CloseReason::tls_error:
      return true;
    case CloseReason::closed:
    case CloseReason::downstream_reset:
    case CloseReason::upstream_reset:
    case CloseReason::truncated:
    case CloseReason::connect_refused:
    case CloseReason::connect_timeout:
    case CloseReason::connect_unreachable:
    case CloseReason::no_endpoint:
    case CloseReason::no_route:
    case CloseReason::no_filter_chain:
    case CloseReason::not_served:
    case CloseReason::self_call:
    case CloseReason::no_identity:
    case CloseReason::denied:
    case CloseReason::policy_changed:
    case CloseReason::trust_removed:
    case CloseReason::idle_timeout:
    case CloseReason::rate_limited:
    case CloseReason::upstream_limit:
    case CloseReason::connection_limit:
    case CloseReason::handshake_limit:
    case CloseReason::draining:
    case CloseReason::out_of_resources:
      return false;
  }
  return false;
}

std::string transport_failure(const AccessRecord& record, Direction side) {
  if (!is_tls_side(record, side) || !is_tls_failure(record.reason)) return "";
  return record.detail.empty()
             ? to_string(record.reason)
             : fmt::format("{}:{}", to_string(record.reason), text(record.detail));
}

// Envoy says "rbac_access_denied_matched_policy[none]" here; alerting rules look for that text.
std::string termination_details(const AccessRecord& record) {
  if (is_orderly(record.reason)) return "";
  if (record.reason != CloseReason::denied) return to_string(record.reason);
  return fmt::format("rbac_access_denied_matched_policy[{}]",
                     record.rule.empty() ? "none" : text(record.rule));
}

std::tm to_utc(std::time_t seconds) {
  std::tm utc{};
  ::gmtime_r(&seconds, &utc);
  return utc;
}

// Envoy's %START_TIME(FORMAT)%: strftime, plus %f (nanoseconds) and %1f to %9f (its first digits);
// %s is the epoch.
std::string format_start(WallTime time, const std::string& pattern) {
  using std::chrono::duration_cast;
  if (pattern.empty()) return format_time(time);
  const auto since_epoch = time.time_since_epoch();
  const auto seconds = std::chrono::floor<std::chrono::seconds>(since_epoch);
  const auto nanos = duration_cast<std::chrono::nanoseconds>(since_epoch - seconds).count();
  const std::string digits = fmt::format("{:09}", nanos);
  std::string plain;
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    const std::string_view rest = std::string_view(pattern).substr(i);
    if (rest.starts_with("%s")) {
      plain += std::to_string(seconds.count());
      i += 1;
    } else if (rest.starts_with("%f")) {
      plain += digits;
      i += 1;
    } else if (rest.size() > 2 && rest[0] == '%' && rest[1] >= '1' && rest[1] <= '9' &&
               rest[2] == 'f') {
      plain.append(digits, 0, static_cast<std::size_t>(rest[1] - '0'));
      i += 2;
    } else if (rest.starts_with("%%")) {
      plain += "%%";
      i += 1;
    } else {
      plain += rest[0];
    }
  }
  const std::tm utc = to_utc(seconds.count());
  std::array<char, 512> buffer{};
  std::string text(buffer.data(), std::strftime(buffer.data(), buffer.size(), plain.c_str(), &utc));
  // %n and %t: a connection is one line.
  std::replace_if(
      text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20; }, ' ');
  return text;
}

constexpr auto kNone = LogCommand::Argument::none;
constexpr auto kOptional = LogCommand::Argument::optional;
constexpr auto kRequired = LogCommand::Argument::required;
constexpr Direction kIn = Direction::inbound;
constexpr Direction kOut = Direction::outbound;

std::string nothing(const Facts&) {
  return "";
}

// Envoy's command operators (configuration/observability/access_log/usage) as far as TCP has an
// answer; those of HTTP print what Envoy prints for them on TCP, so that one template serves both.
constexpr LogCommand kCommands[] = {
    {"START_TIME",
     kOptional,
     [](const Facts& f) { return format_start(f.record.start, f.argument); }},
    {"DURATION", kNone, [](const Facts& f) { return std::to_string(f.record.duration.count()); }},
    {"BYTES_RECEIVED",
     kNone,
     [](const Facts& f) { return std::to_string(f.record.bytes_received); }},
    {"BYTES_SENT", kNone, [](const Facts& f) { return std::to_string(f.record.bytes_sent); }},
    {"RESPONSE_FLAGS",
     kNone,
     [](const Facts& f) -> std::string {
       return response_flags(f.record.reason, f.record.direction);
     }},
    {"CONNECTION_ID", kNone, [](const Facts& f) { return std::to_string(f.record.id); }},
    {"CONNECTION_TERMINATION_DETAILS",
     kNone,
     [](const Facts& f) { return termination_details(f.record); }},
    {"REQUESTED_SERVER_NAME",
     kNone,
     [](const Facts& f) { return tls_text(f.record, kIn, f.record.sni); }},
    {"UPSTREAM_CLUSTER", kNone, [](const Facts& f) { return text(f.record.cluster); }},
    {"UPSTREAM_CLUSTER_RAW", kNone, [](const Facts& f) { return text(f.record.cluster); }},
    {"FILTER_CHAIN_NAME", kNone, [](const Facts& f) { return text(f.record.listener); }},
    {"UPSTREAM_HOST", kNone, [](const Facts& f) { return address(f.record.upstream_remote); }},
    {"UPSTREAM_REMOTE_ADDRESS",
     kNone,
     [](const Facts& f) { return address(f.record.upstream_remote); }},
    {"UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT",
     kNone,
     [](const Facts& f) { return ip(f.record.upstream_remote); }},
    {"UPSTREAM_REMOTE_PORT", kNone, [](const Facts& f) { return port(f.record.upstream_remote); }},
    {"UPSTREAM_LOCAL_ADDRESS",
     kNone,
     [](const Facts& f) { return address(f.record.upstream_local); }},
    {"UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT",
     kNone,
     [](const Facts& f) { return ip(f.record.upstream_local); }},
    {"UPSTREAM_LOCAL_PORT", kNone, [](const Facts& f) { return port(f.record.upstream_local); }},
    {"UPSTREAM_PEER_URI_SAN",
     kNone,
     [](const Facts& f) { return tls_text(f.record, kOut, f.record.peer_identity); }},
    {"UPSTREAM_LOCAL_URI_SAN",
     kNone,
     [](const Facts& f) { return tls_text(f.record, kOut, f.record.local_identity); }},
    {"UPSTREAM_TLS_VERSION",
     kNone,
     [](const Facts& f) { return tls_text(f.record, kOut, f.record.tls_version); }},
    {"UPSTREAM_TLS_CIPHER",
     kNone,
     [](const Facts& f) { return tls_text(f.record, kOut, f.record.tls_cipher); }},
    {"UPSTREAM_TRANSPORT_FAILURE_REASON",
     kNone,
     [](const Facts& f) { return transport_failure(f.record, kOut); }},
    {"DOWNSTREAM_REMOTE_ADDRESS",
     kNone,
     [](const Facts& f) { return address(f.record.downstream_remote); }},
    {"DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT",
     kNone,
     [](const Facts& f) { return ip(f.record.downstream_remote); }},
    {"DOWNSTREAM_REMOTE_PORT",
     kNone,
     [](const Facts& f) { return port(f.record.downstream_remote); }},
    {"DOWNSTREAM_DIRECT_REMOTE_ADDRESS",
     kNone,
     [](const Facts& f) { return address(f.record.downstream_remote); }},
    {"DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT",
     kNone,
     [](const Facts& f) { return ip(f.record.downstream_remote); }},
    {"DOWNSTREAM_LOCAL_ADDRESS",
     kNone,
     [](const Facts& f) { return address(f.record.downstream_local); }},
    {"DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT",
     kNone,
     [](const Facts& f) { return ip(f.record.downstream_local); }},
    {"DOWNSTREAM_LOCAL_PORT",
     kNone,
     [](const Facts& f) { return port(f.record.downstream_local); }},
    {"DOWNSTREAM_PEER_URI_SAN",
     kNone,
     [](const Facts& f) { return tls_text(f.record, kIn, f.record.peer_identity); }},
    {"DOWNSTREAM_LOCAL_URI_SAN",
     kNone,
     [](const Facts& f) { return tls_text(f.record, kIn, f.record.local_identity); }},
    {"DOWNSTREAM_TLS_VERSION",
     kNone,
     [](const Facts& f) { return tls_text(f.record, kIn, f.record.tls_version); }},
    {"DOWNSTREAM_TLS_CIPHER",
     kNone,
     [](const Facts& f) { return tls_text(f.record, kIn, f.record.tls_cipher); }},
    {"DOWNSTREAM_TRANSPORT_FAILURE_REASON",
     kNone,
     [](const Facts& f) { return transport_failure(f.record, kIn); }},
    {"PROTOCOL", kNone, nothing},
    {"RESPONSE_CODE", kNone, [](const Facts&) -> std::string { return "0"; }},
    {"RESPONSE_CODE_DETAILS", kNone, nothing},
    {"ROUTE_NAME", kNone, nothing},
    {"REQUEST_DURATION", kNone, nothing},
    {"RESPONSE_DURATION", kNone, nothing},
    {"RESPONSE_TX_DURATION", kNone, nothing},
    {"GRPC_STATUS", kOptional, nothing},
    {"VIRTUAL_CLUSTER_NAME", kNone, nothing},
    {"DYNAMIC_METADATA", kRequired, nothing},
    {"FILTER_STATE", kRequired, nothing},
    {"UPSTREAM_METADATA", kRequired, nothing},
    {"REQ", kRequired, nothing},
    {"RESP", kRequired, nothing},
    {"TRAILER", kRequired, nothing},
    {"MOORING_REASON",
     kNone,
     [](const Facts& f) -> std::string { return to_string(f.record.reason); }},
    {"MOORING_DIRECTION",
     kNone,
     [](const Facts& f) -> std::string { return to_string(f.record.direction); }},
    {"MOORING_LISTENER", kNone, [](const Facts& f) { return text(f.record.listener); }},
    {"MOORING_RULE", kNone, [](const Facts& f) { return text(f.record.rule); }},
    {"MOORING_SHADOW_RULE", kNone, [](const Facts& f) { return text(f.record.shadow_rule); }},
    {"MOORING_DETAIL", kNone, [](const Facts& f) { return text(f.record.detail); }},
};

std::size_t common_prefix(std::string_view a, std::string_view b) {
  return static_cast<std::size_t>(std::mismatch(a.begin(), a.end(), b.begin(), b.end()).first -
                                  a.begin());
}

}  // namespace

bool is_number(const LogCommand& command) noexcept {
  constexpr std::string_view kNumbers[] = {
      "BYTES_RECEIVED", "BYTES_SENT", "CONNECTION_ID", "DURATION", "RESPONSE_CODE"};
  return std::find(std::begin(kNumbers), std::end(kNumbers), command.name) != std::end(kNumbers) ||
         command.name.ends_with("_REMOTE_PORT") || command.name.ends_with("_LOCAL_PORT");
}

const LogCommand* find_command(std::string_view name) {
  const auto* found =
      std::find_if(std::begin(kCommands), std::end(kCommands), [name](const LogCommand& command) {
        return command.name == name;
      });
  return found == std::end(kCommands) ? nullptr : found;
}

std::string_view nearest_command(std::string_view name) {
  return std::max_element(std::begin(kCommands),
                          std::end(kCommands),
                          [name](const LogCommand& a, const LogCommand& b) {
                            return common_prefix(a.name, name) < common_prefix(b.name, name);
                          })
      ->name;
}

}  // namespace mooring::observe
