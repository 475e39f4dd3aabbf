// What `mooring join` and `mooring leave` ask of this host, and do to it. Blocking.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "app/dataplane.h"
#include "cli/join_plan.h"
#include "config/model.h"
#include "core/result.h"
#include "transparent-proxy/facts.h"

namespace mooring::cli {

/// A socket that the agent is going to listen on.
struct PortUse {
  SocketAddress address;  // unspecified: every address of the host
  std::string what;       // "capture.inbound_port"
};
[[nodiscard]] std::vector<PortUse> ports_of(const config::AgentConfig& config,
                                            const app::Dataplane& dataplane);
/// The first of `uses` that somebody else listens on, in the words of an admin. Pure.
[[nodiscard]] std::optional<Diagnostic> find_conflict(
    const std::vector<PortUse>& uses, const std::vector<transparent_proxy::TcpEntry>& entries);

/// Sets the action of each file by what is there now.
void compare_with_host(std::vector<PlannedFile>& files);
/// Writes what is not there yet, root:mooring. What join did not write itself is kept beside it as
/// `.before-join`.
[[nodiscard]] Checked<void> write_files(const std::vector<PlannedFile>& files);
/// Takes what join wrote away and puts back what was there before it. Paths that were removed or
/// restored.
[[nodiscard]] Checked<std::vector<std::string>> remove_files(const JoinPaths& paths);

/// systemd's way; false where there is no systemd.
[[nodiscard]] Checked<bool> start_agent(bool is_restart);
[[nodiscard]] Checked<bool> stop_agent();

/// For a process whose unit systemd does not know: SIGTERM, as systemctl stop would send it.
[[nodiscard]] Checked<void> end_process(pid_t pid);

/// Without a loop; not for the agent.
void pause_for(Milliseconds span) noexcept;

}  // namespace mooring::cli
