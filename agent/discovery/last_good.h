// What a control plane said last and this host accepted, on disk: served after a restart while the
// control plane is away. One file, 0600, of this machine only: a copy on another host or a clone is
// worth nothing. Blocking; on the control thread.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "core/clock.h"
#include "core/result.h"
#include "discovery/resource.h"

namespace mooring::discovery {

struct StoredResource {
  ResourceKind kind = ResourceKind::cluster;
  std::string name;
  std::string version;
  std::string bytes;

  friend bool operator==(const StoredResource&, const StoredResource&) = default;
};

struct LastGood {
  WallTime saved_at{};  // whole seconds
  std::string node_id;  // of whom it is
  std::vector<StoredResource> resources;

  friend bool operator==(const LastGood&, const LastGood&) = default;
};

/// Largest file, in bytes: 10,000 services with 5 KB of clusters, and as much again of the rest.
inline constexpr std::size_t kMaxLastGoodBytes = std::size_t{128} * 1024 * 1024;

/// The machine's id as systemd keeps it (machine-id(5)).
[[nodiscard]] Result<std::string> read_machine_id(const std::string& path = "/etc/machine-id");

/// The file's content. `machine_id` is not in it, but what was made of it.
[[nodiscard]] std::string encode_last_good(const LastGood& last_good, std::string_view machine_id);
/// Fails with a sentence for a file of another version or machine, or one that is damaged.
[[nodiscard]] Checked<LastGood> decode_last_good(std::string_view content,
                                                 std::string_view machine_id);

class LastGoodFile {
 public:
  LastGoodFile(std::string path, std::string machine_id, bool keeps_secrets)
      : path_(std::move(path)), machine_id_(std::move(machine_id)), keeps_secrets_(keeps_secrets) {}

  /// Atomically and onto the disk; without the secrets where they are not to be kept. The number of
  /// bytes.
  [[nodiscard]] Checked<std::size_t> save(LastGood last_good) const;
  /// Nothing stored yet is an empty one. Secrets that are not to be kept any more are left out.
  [[nodiscard]] Checked<LastGood> load() const;
  [[nodiscard]] const std::string& path() const noexcept { return path_; }

 private:
  std::string path_;
  std::string machine_id_;
  bool keeps_secrets_;
};

}  // namespace mooring::discovery
