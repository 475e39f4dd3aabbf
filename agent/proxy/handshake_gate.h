// Bounds the TLS handshakes of one worker: how many are under way, and how many steps one turn of
// the loop makes, so that open connections never wait long behind a burst of new ones. Who may not
// go on yet waits in line. Pure bookkeeping; belongs to the worker's thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <list>
#include <map>
#include <optional>

namespace mooring::proxy {

/// The part that this agent plays; each has a limit of its own, so that peers which stall one
/// direction do not stop the other.
enum class HandshakeRole : std::uint8_t { client, server };

class HandshakeGate {
 public:
  /// A step costs up to half a millisecond (signature, verification): 2 ms a turn.
  static constexpr std::size_t kStepsPerTurn = 4;

  explicit HandshakeGate(std::size_t limit) noexcept : limit_(limit) {}

  /// Whose handshakes share one part of the places: the cluster called; null for a server's peers.
  using Group = const void*;

  /// A group of callers may hold as many places as it leaves free: however many stall in one (or
  /// some), there are places left for the next.
  [[nodiscard]] bool is_full(HandshakeRole role, Group group = nullptr) const noexcept;
  [[nodiscard]] std::size_t active() const noexcept { return active_[0] + active_[1]; }
  void enter(HandshakeRole role, Group group = nullptr);
  void leave(HandshakeRole role, Group group = nullptr);

  /// False: not in this turn; wait_for_step() then.
  [[nodiscard]] bool take_step() noexcept;
  void wait_for_step(std::uint64_t conn) { steps_.push_back(conn); }
  void wait_for_slot(HandshakeRole role, std::uint64_t conn, Group group = nullptr) {
    lines_[index(role)][group].waiting.push_back(conn);
  }

  /// Whether new_turn() is to be called in the next turn of the loop.
  [[nodiscard]] bool wants_turn() const noexcept;
  void new_turn() noexcept;
  /// Who may go on in this turn, oldest first; nothing when the turn is used up. The connection may
  /// have ended meanwhile.
  [[nodiscard]] std::optional<std::uint64_t> next();

 private:
  static constexpr std::size_t index(HandshakeRole role) noexcept {
    return static_cast<std::size_t>(role);
  }
  struct Line {
    std::size_t active = 0;
    std::list<std::uint64_t> waiting;  // empty, it costs a handshake nothing
  };
  using Lines = std::map<Group, Line>;

  [[nodiscard]] bool has_room(std::size_t role, std::size_t held) const noexcept;
  /// Of those that may go on the one that holds least, then the one that came first.
  [[nodiscard]] Lines::const_iterator next_line(std::size_t role) const noexcept;
  void forget_if_unused(std::size_t role, Lines::const_iterator line);

  std::size_t limit_;
  std::array<std::size_t, 2> active_{};
  std::size_t steps_left_ = kStepsPerTurn;
  std::size_t admissions_left_ = kStepsPerTurn;
  std::deque<std::uint64_t> steps_;
  std::array<Lines, 2> lines_;
};

}  // namespace mooring::proxy
