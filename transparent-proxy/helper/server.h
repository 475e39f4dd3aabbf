// mooring-net's unix socket: who is there, what they may ask, whether the agent still answers. One
// thread, one loop.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "capture_client/messages.h"
#include "capture_client/transport.h"
#include "core/fd.h"
#include "core/loop.h"
#include "transparent-proxy/helper/control.h"
#include "transparent-proxy/rules.h"

namespace mooring::transparent_proxy {

/// Who is at the other end, from SO_PEERCRED.
struct Peer {
  uid_t uid = 0;
  pid_t pid = 0;
};

/// May this user send this request? Root may everything but stand for the agent.
[[nodiscard]] Checked<void> check_permission(const capture_client::Body& request,
                                             uid_t uid,
                                             uid_t agent_uid);

/// Counts pings without an answer, not seconds: after the helper itself was stopped, time has
/// passed and nobody is dead.
class Liveness {
 public:
  static constexpr Milliseconds kPingEvery{500};
  /// Dead between 4 and 4.5 s after the last answer: what a stall opens is open within five.
  static constexpr unsigned kMaxUnanswered = 8;

  /// The next ping's number; `is_dead()` tells whether the one before it was one too many.
  std::uint64_t ping() noexcept {
    ++unanswered_;
    return ++last_;
  }
  /// True if this ends a stall.
  bool pong(std::uint64_t nonce) noexcept {
    if (nonce > last_) return false;  // never asked
    const bool was_dead = is_dead();
    unanswered_ = 0;
    return was_dead;
  }
  [[nodiscard]] bool is_dead() const noexcept { return unanswered_ > kMaxUnanswered; }

 private:
  std::uint64_t last_ = 0;
  unsigned unanswered_ = 0;
};

class Server {
 public:
  struct Options {
    uid_t agent_uid = 0;
    bool redirects_inbound = false;  // what the agent's listeners are made for
  };
  Server(Loop& loop, UniqueFd listener, Options options, CaptureControl& control, Rules& rules);
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

 private:
  struct Session;

  void on_accept();
  void on_readable(Session& session);
  void on_unreadable(Session& session, const Error& error);
  void on_message(Session& session, capture_client::Received& received);
  void on_hello(Session& session, std::uint32_t id, const capture_client::Hello& hello);
  void on_request(Session& session, capture_client::Received& received);
  void answer(Session& session, std::uint32_t id, const Checked<void>& outcome);
  void give_listeners(Session& session,
                      std::uint32_t id,
                      const capture_client::GetListeners& request);
  void on_try(Session& session, std::uint32_t id, const capture_client::TryPlan& attempt);
  void on_confirm(Session& session, std::uint32_t id, const std::vector<UniqueFd>& descriptors);
  void hand_over_owner();
  void take_owner_back();
  void retire(Session& session, const std::string& why);
  void on_ping_timer();
  void tell_status();

  Loop& loop_;  // these four outlive the server
  CaptureControl& control_;
  Rules& rules_;
  Options options_;
  UniqueFd listener_;
  std::vector<std::unique_ptr<Session>> sessions_;
  std::vector<std::unique_ptr<Session>>
      retired_;               // freed by the timer, never inside their own callback
  Session* agent_ = nullptr;  // one of sessions_, the newest that said it is the agent
  std::optional<capture_client::Status> told_;  // to agent_
  std::uint64_t trial_began_ = 0;               // clock ticks since boot
  PollWatch accept_watch_;
  Timer ping_timer_;
};

/// A SEQPACKET socket at `path`, reachable for `agent_gid`'s members (0660), or the one that
/// systemd passed.
[[nodiscard]] Checked<UniqueFd> make_server_socket(const std::string& path, gid_t agent_gid);

}  // namespace mooring::transparent_proxy
