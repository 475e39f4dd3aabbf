// What the daemon asks of its own process before anything else runs.
#pragma once

#include <cstddef>

#include "config/model.h"

namespace mooring::app {

/// No core dumps of keys, no SIGPIPE, private files, all the descriptors that the host grants.
void prepare_process() noexcept;

/// The file that this process was started from has been replaced, as an upgrade does.
[[nodiscard]] bool is_program_replaced();

/// limits.workers, or the CPUs that this process may use: its affinity, bounded by its cgroup's
/// quota.
[[nodiscard]] std::size_t worker_count(const config::Limits& limits);

/// Bytes that the allocator has given out.
[[nodiscard]] std::size_t allocated_bytes() noexcept;

}  // namespace mooring::app
