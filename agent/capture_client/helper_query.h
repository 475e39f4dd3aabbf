// One request to mooring-net and its answer, without blocking: for the agent's control loop, which
// must turn whatever the helper does.
#pragma once

#include <array>
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
  /// On a connection of its own for each version of the protocol: a watch must not be freed inside
  /// its own callback.
  struct Attempt {
    UniqueFd fd;
    std::optional<PollWatch> watch;  // before fd closes
  };
  static constexpr std::size_t kMaxAttempts = kProtocolVersion - kOldestProtocol + 1;

  [[nodiscard]] Checked<void> start();
  void on_failure(const Error& error);
  void fail_soon(Diagnostic why);
  void on_readable();
  void on_limit();
  void finish(Checked<Answer> outcome);

  Loop& loop_;  // outlives the query
  std::string path_;
  Body request_;
  std::uint8_t version_ = kProtocolVersion;
  Milliseconds limit_;
  OnDone on_done_;
  std::optional<Diagnostic> failed_;  // told from the loop
  std::array<Attempt, kMaxAttempts> attempts_;
  Timer timer_;
};

/// The answer to GetListeners; fails when the descriptors do not fit.
[[nodiscard]] Checked<std::vector<Listener>> listeners_of(const std::string& socket_path,
                                                          HelperQuery::Answer answer);

}  // namespace mooring::capture_client
