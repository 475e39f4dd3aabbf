// One request to mooring-net and its answer, without blocking: for the agent's control loop, which
// must turn whatever the helper does.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "capture_client/helper_connection.h"
#include "capture_client/messages.h"
#include "core/fd.h"
#include "core/loop.h"
#include "core/result.h"

namespace mooring::capture_client {

class HelperQuery {
 public:
  struct Answer {
    Body body;
    std::vector<UniqueFd> descriptors;
  };
  using OnDone = std::function<void(Checked<Answer>)>;

  /// Asks on a connection of its own. `on_done` runs once, from the loop, at the latest after
  /// `limit`; it must not destroy the query. Destruction before that cancels.
  HelperQuery(
      Loop& loop, std::string socket_path, Body request, Milliseconds limit, OnDone on_done);
  HelperQuery(const HelperQuery&) = delete;
  HelperQuery& operator=(const HelperQuery&) = delete;

  [[nodiscard]] bool is_done() const noexcept { return on_done_ == nullptr; }

 private:
  void start(Loop& loop, Body request);
  void fail_soon(Diagnostic why);
  void on_readable();
  void on_limit();
  void finish(Checked<Answer> outcome);

  std::string path_;
  Milliseconds limit_;
  OnDone on_done_;
  std::optional<Diagnostic> failed_;  // told from the loop
  UniqueFd fd_;
  std::optional<PollWatch> watch_;  // before fd_ closes
  Timer timer_;
};

/// The answer to GetListeners; fails when the descriptors do not fit.
[[nodiscard]] Checked<std::vector<Listener>> listeners_of(const std::string& socket_path,
                                                          HelperQuery::Answer answer);

}  // namespace mooring::capture_client
