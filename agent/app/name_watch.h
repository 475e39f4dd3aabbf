// Addresses of the host names that the configuration mentions, looked up again and again. Control
// thread.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/loop.h"
#include "net/resolver.h"
#include "snapshot/from_config.h"

namespace mooring::app {

class NameWatch {
 public:
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
  void on_answer(const std::string& name, std::vector<IpAddress> addresses);

  Loop& loop_;
  std::function<void()> on_change_;
  std::vector<std::string> wanted_;
  snapshot::ResolvedNames resolved_;
  std::map<std::string, std::unique_ptr<net::Lookup>> pending_;
  bool is_waiting_ = false;
  Timer refresh_;
};

/// For commands: one name, on a loop of its own.
[[nodiscard]] std::vector<IpAddress> resolve_now(const std::string& host_name);

}  // namespace mooring::app
