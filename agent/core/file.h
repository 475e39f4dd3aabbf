// Small files, whole: configuration, certificates, state. Blocking: control thread and commands
// only.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "core/result.h"

namespace mooring {

/// The whole file. Fails with too_large beyond `max_bytes`, bad_input for what is not a regular
/// file.
[[nodiscard]] Result<std::string> read_file(const std::string& path, std::size_t max_bytes);

/// Replaces `path` atomically (temporary file in the same folder, fsync, rename) with `mode`
/// permissions.
[[nodiscard]] Result<void> write_file_atomically(const std::string& path,
                                                 std::string_view content,
                                                 unsigned mode);

}  // namespace mooring
