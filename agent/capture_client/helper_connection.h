// A blocking conversation with mooring-net, for commands and for the agent's start (before its
// loops run). Every call waits at most five seconds.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "capture_client/messages.h"
#include "capture_client/transport.h"
#include "core/fd.h"
#include "core/result.h"

namespace mooring::capture_client {

struct Listener {
  ListenerInfo info;
  UniqueFd fd;  // listening, non-blocking, close-on-exec; inbound ones are IP_TRANSPARENT
};

class HelperConnection {
 public:
  /// Fails with a sentence that says what to do: the helper does not run, or this user may not talk
  /// to it.
  [[nodiscard]] static Checked<HelperConnection> open(const std::string& socket_path,
                                                      Role role = Role::tool);

  /// Sockets on 127.0.0.1 and ::1 (a family that the host lacks is left out), SO_REUSEPORT, one of
  /// each for each worker. Agent's uid or root.
  [[nodiscard]] Checked<std::vector<Listener>> get_listeners(const GetListeners& request);
  /// `mooring capture on`: root only. Refused while no agent is connected.
  [[nodiscard]] Checked<void> set_plan(const InterceptConfig& config);
  /// `mooring capture on` without --yes. The time in which to confirm; zero: nothing has to be.
  [[nodiscard]] Checked<std::chrono::seconds> try_plan(const InterceptConfig& config,
                                                       std::chrono::seconds limit);
  /// `mooring capture confirm`.
  [[nodiscard]] Checked<void> confirm();
  /// `mooring capture off`. From root everything opens.
  [[nodiscard]] Checked<void> drop();
  /// `mooring capture status`. Anybody who may connect.
  [[nodiscard]] Checked<Status> status();

  [[nodiscard]] const Welcome& welcome() const noexcept { return welcome_; }

 private:
  [[nodiscard]] Result<Received> exchange(Body request, const std::vector<int>& descriptors);
  [[nodiscard]] Checked<Received> ask(Body request, const std::vector<int>& descriptors = {});

  UniqueFd fd_;
  std::uint8_t version_ = kProtocolVersion;  // that the helper speaks
  std::string path_;
  std::uint32_t next_id_ = 1;
  Welcome welcome_;
};

/// What a failure to talk to the helper at `path` means, for people.
[[nodiscard]] Diagnostic explain(const std::string& path, const Error& error);

/// `mooring capture status`: the human screen, several lines.
[[nodiscard]] std::string describe(const Status& status);

}  // namespace mooring::capture_client
