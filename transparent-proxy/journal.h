// What Mooring is about to have in this host's kernel, written down before it is there.
// `verify-host` and the rollback read it without Mooring, so it is text, a line for each change:
//
//     mooring-journal 1 BOOT
//     will UNIX_SECONDS nft inet mooring_0123abcd_a was absent
//     gone UNIX_SECONDS nft inet mooring_0123abcd_a
//
// BOOT is the suffix of this boot's names. THING is "nft FAMILY TABLE", or
// "iptables-nft|iptables-legacy 4|6 TABLE CHAIN" with the jump to that chain. Nothing that Mooring
// changes was there before: every name is its own. One thread.
#pragma once

#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "transparent-proxy/nft_runner.h"

namespace mooring::transparent_proxy {

class Journal {
 public:
  /// What an earlier helper wrote in this boot is taken over; what is of another boot is gone with
  /// it.
  Journal(std::string path, std::string boot);

  /// On the disk when it returns. A disk that cannot be written is an error in the log and stops
  /// nothing: without capture the host would be less safe, and every name is found without the
  /// journal too. What is there to let connections end must not wait for a disk.
  void will_add(const std::vector<std::string>& things, bool must_be_on_disk = true);
  /// Of the things that begin with `kind` only these are left.
  void keep_only(std::string_view kind, const std::vector<std::string>& things);

  [[nodiscard]] const std::set<std::string>& present() const noexcept { return present_; }

 private:
  void append(const std::string& lines, bool must_be_on_disk);
  void compact();

  std::string path_;
  std::string boot_;
  std::set<std::string> present_;
  std::size_t size_ = 0;  // of the file
  bool is_broken_ = false;
};

/// The things of the tables that these commands make.
[[nodiscard]] std::vector<std::string> tables_made_by(std::string_view commands);

/// Writes down what `runner` is told to make, and what it lists as gone.
[[nodiscard]] std::unique_ptr<NftRunner> with_journal(std::unique_ptr<NftRunner> runner,
                                                      std::shared_ptr<Journal> journal);

}  // namespace mooring::transparent_proxy
