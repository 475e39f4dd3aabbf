// The agent's side of mooring-net: one connection that says what to capture, answers the helper's
// pings, holds the copy of the table's owner and comes back when the helper was restarted. Control
// thread only; never blocks.
//
// At start the agent asks for its listeners with HelperConnection (blocking, helper_connection.h),
// lets its workers accept, then makes a CaptureClient and calls set_wanted().
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "capture_client/intercept_config.h"
#include "capture_client/messages.h"
#include "core/fd.h"
#include "core/loop.h"

namespace mooring::capture_client {

/// What happened, for the log and `mooring status`.
struct CaptureEvent {
  enum class Kind : std::uint8_t { connected, disconnected, told, activated, dropped, refused };
  Kind kind = Kind::connected;
  // refused: why; disconnected: the error; connected: backend; told (the first status, or one that
  // says something else of queries for names): what
  std::string text;
};

class CaptureClient {
 public:
  /// Connects in the background and again after each loss, a second apart. `on_event` may be empty;
  /// it must not destroy the client.
  CaptureClient(Loop& loop,
                std::string socket_path,
                std::function<void(const CaptureEvent&)> on_event);
  ~CaptureClient();
  CaptureClient(const CaptureClient&) = delete;
  CaptureClient& operator=(const CaptureClient&) = delete;

  /// What the helper shall capture from now on and after each reconnect. nullopt: leave what root
  /// asked for in place; ends nothing.
  void set_wanted(std::optional<InterceptConfig> wanted);
  /// Orderly end of capture, before the listeners stop. `on_done` runs once, also if the helper is
  /// away or does not answer within two seconds. After it the client asks for nothing until
  /// set_wanted().
  void drop(std::function<void()> on_done);

  [[nodiscard]] bool is_connected() const noexcept;
  /// The helper confirmed the config that is wanted.
  [[nodiscard]] bool is_active() const noexcept;
  /// What the helper last told of itself, which may be away by now; empty before that.
  [[nodiscard]] const std::optional<Status>& status() const noexcept;

 private:
  class Session;
  std::unique_ptr<Session> session_;
};

}  // namespace mooring::capture_client
