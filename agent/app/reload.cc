#include "app/reload.h"

#include <fmt/format.h>

namespace mooring::app {

BoundChange bound_change(const BoundAddresses& before, const BoundAddresses& after) {
  BoundChange change;
  for (const auto& [listener, address] : after) {
    const auto found = before.find(listener);
    if (found == before.end() || found->second != address) change.to_open[listener] = address;
  }
  for (const auto& [listener, address] : before) {
    const auto found = after.find(listener);
    if (found == after.end() || found->second != address) change.to_close.push_back(listener);
  }
  return change;
}

std::vector<std::string> needs_restart(const config::AgentConfig& before,
                                       const config::AgentConfig& after) {
  std::vector<std::string> warnings;
  const auto check = [&warnings](bool is_same, const char* what) {
    if (!is_same)
      warnings.push_back(fmt::format("{} changed: restart mooringd to take it into use", what));
  };
  check(before.control_plane == after.control_plane, "[control_plane]");
  check(before.limits == after.limits, "[limits]");
  check(before.capture.outbound_port == after.capture.outbound_port, "capture.outbound_port");
  check(before.capture.inbound_port == after.capture.inbound_port, "capture.inbound_port");
  check(before.capture.helper_socket == after.capture.helper_socket, "capture.helper_socket");
  check(before.admin == after.admin, "[admin]");
  check(before.logging.file == after.logging.file, "log.file");
  check(before.logging.access_log == after.logging.access_log &&
            before.logging.access_log_file == after.logging.access_log_file &&
            before.logging.access_log_format == after.logging.access_log_format &&
            before.logging.access_log_template == after.logging.access_log_template,
        "[access_log]");
  config::Timeouts expected = after.timeouts;
  expected.drain = before.timeouts.drain;
  check(before.timeouts == expected, "[timeouts]");
  return warnings;
}

std::optional<Diagnostic> cannot_follow(const config::AgentConfig& before,
                                        const config::AgentConfig& after) {
  if (before.control_plane.has_value() == after.control_plane.has_value()) return std::nullopt;
  return Diagnostic{"[control_plane]",
                    after.control_plane ? "was added" : "was removed",
                    "restart mooringd to take it into use"};
}

void keep_until_restart(const config::AgentConfig& running, config::AgentConfig& next) {
  next.control_plane = running.control_plane;
  next.limits = running.limits;
  next.admin = running.admin;
  next.capture.outbound_port = running.capture.outbound_port;
  next.capture.inbound_port = running.capture.inbound_port;
  next.capture.helper_socket = running.capture.helper_socket;
  const auto level = next.logging.level;
  next.logging = running.logging;
  next.logging.level = level;
  const Milliseconds drain = next.timeouts.drain;
  next.timeouts = running.timeouts;
  next.timeouts.drain = drain;
}

std::string lines(const std::vector<Diagnostic>& problems) {
  std::string text;
  for (const Diagnostic& problem : problems) {
    if (!text.empty()) text += '\n';
    text += describe(problem);
  }
  return text;
}

}  // namespace mooring::app
