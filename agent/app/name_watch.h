// Addresses of the host names that the configuration mentions, looked up again and again. Control
// thread.
//
// An address stays for an hour after the last answer that had it: a name server may hand out
// another part of a set each time, and applications keep what they once looked up. What is called
// there is still asked for its identity; without the address the call would go out in plain text.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/clock.h"
#include "core/loop.h"
#include "net/resolver.h"
#include "snapshot/from_config.h"

namespace mooring::app {

/// The addresses of one name, by the time when an answer had them last.
class SeenAddresses {
 public:
  void add(const std::vector<IpAddress>& answer, MonoTime now);
  /// Sorted. Those that no answer has had for NameWatch::kKeep are gone.
  [[nodiscard]] std::vector<IpAddress> known() const;

 private:
  std::map<IpAddress, MonoTime> last_seen_;
};

class NameWatch {
 public:
  static constexpr std::chrono::hours kKeep{1};
  static constexpr std::size_t kMaxAddresses = 64;  // of a name; the latest seen

  /// `on_change` runs when an address came or went.
  NameWatch(Loop& loop, std::function<void()> on_change);

  /// Names that stay keep their addresses; new ones are looked up at once.
  void set_names(const std::vector<std::string>& names);
  /// Runs the loop until every name has its first answer, or for `limit`. Before the loop runs
  /// otherwise.
  void wait_for_first(Milliseconds limit);

  [[nodiscard]] const snapshot::ResolvedNames& names() const noexcept { return resolved_; }

 private:
  void look_up_all();
  void look_up(const std::string& name);
  void on_answer(const std::string& name, const std::vector<IpAddress>& addresses);

  Loop& loop_;
  std::function<void()> on_change_;
  std::vector<std::string> wanted_;
  snapshot::ResolvedNames resolved_;
  std::map<std::string, SeenAddresses> seen_;
  std::map<std::string, std::unique_ptr<net::Lookup>> pending_;
  bool is_waiting_ = false;
  Timer refresh_;
};

/// For commands: one name, on a loop of its own.
[[nodiscard]] std::vector<IpAddress> resolve_now(const std::string& host_name);

}  // namespace mooring::app
