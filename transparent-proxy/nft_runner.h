// Talks to nf_tables: in process through libnftables, loaded at run time, whose netlink socket can
// own a table; or by running nft. mooring-net only, one thread.
#pragma once

#include <memory>
#include <string>

#include "core/result.h"

namespace mooring::transparent_proxy {

class NftRunner {
 public:
  virtual ~NftRunner() = default;
  /// All of it or nothing: one transaction.
  [[nodiscard]] virtual Checked<void> run(const std::string& commands) = 0;
  /// What run() would do, judged by the kernel and not kept.
  [[nodiscard]] virtual Checked<void> check(const std::string& commands) = 0;
  /// "list tables", "list table inet x": text with numeric priorities. Not JSON: for a table with
  /// one flag nft 1.0.6 prints memory that is not its own there.
  [[nodiscard]] virtual Checked<std::string> list(const std::string& command) = 0;
  /// The netlink socket that owns what run() makes with `flags owner`; -1 if there is none that
  /// lasts.
  [[nodiscard]] virtual int owner_fd() const noexcept = 0;
};

/// Fails where libnftables.so.1 is not installed.
[[nodiscard]] Checked<std::unique_ptr<NftRunner>> make_library_runner();
/// Fails where nft is not installed.
[[nodiscard]] Checked<std::unique_ptr<NftRunner>> make_program_runner();

}  // namespace mooring::transparent_proxy
