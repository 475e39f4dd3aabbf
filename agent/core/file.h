// Small files, whole: configuration, certificates, state. Blocking: control thread and commands
// only.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "core/result.h"

namespace mooring {

/// The whole file. Fails with too_large beyond `max_bytes`, bad_input for what is not a regular
/// file.
[[nodiscard]] Result<std::string> read_file(const std::string& path, std::size_t max_bytes);

struct FileOwner {
  uid_t user = 0;
  gid_t group = 0;
};

/// Replaces `path` atomically (temporary file in the same folder, fsync, rename) with `mode`
/// permissions. It is never readable by more than these, also while it is written.
[[nodiscard]] Result<void> write_file_atomically(const std::string& path,
                                                 std::string_view content,
                                                 unsigned mode,
                                                 std::optional<FileOwner> owner = std::nullopt);

}  // namespace mooring
