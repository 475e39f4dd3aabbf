// Identity from PEM files, and a cheap way to see that they changed. Blocking: control thread and
// commands only.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "core/result.h"
#include "identity/material.h"

namespace mooring::identity {

/// Largest PEM file read, in bytes: 256 anchors of 4 KiB.
inline constexpr std::size_t kMaxPemBytes = 1024 * 1024;

struct IdentityFiles {
  std::string trust_domain;                      // that the SVID must belong to
  std::string svid;                              // leaf first, then intermediates
  std::string key;                               // not accessible to others
  std::string bundle;                            // anchors of trust_domain
  std::map<std::string, std::string> federated;  // trust domain -> file of anchors

  friend bool operator==(const IdentityFiles&, const IdentityFiles&) = default;
};

/// What stat() says about each file, through symbolic links. Two equal values: nothing was replaced
/// in between.
struct FilesState {
  struct File {
    std::uint64_t device = 0;
    std::uint64_t inode = 0;  // 0: cannot be looked at
    std::int64_t size = 0;
    std::int64_t modified_ns = 0;
    std::int64_t changed_ns = 0;

    friend bool operator==(const File&, const File&) = default;
  };
  std::vector<File> files;

  friend bool operator==(const FilesState&, const FilesState&) = default;
};
[[nodiscard]] FilesState look_at(const IdentityFiles& files);

/// Reads all files and checks them together. When they change while they are read they are read
/// again, a few times; an SVID and a key that do not belong together are refused (a rotation that
/// is half done: the next change of the files is the time to try again). The diagnostic's path is
/// the file. `text`, if given, is what was read; empty after a failure.
[[nodiscard]] Checked<MaterialPtr> load_material(const IdentityFiles& files,
                                                 MaterialText* text = nullptr);

}  // namespace mooring::identity
