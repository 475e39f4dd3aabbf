#include "proxy/handshake_gate.h"

#include <utility>

namespace mooring::proxy {

bool HandshakeGate::has_room(std::size_t role, std::size_t held) const noexcept {
  if (active_[role] >= limit_) return false;
  return role == index(HandshakeRole::server) || held < limit_ - active_[role];
}

bool HandshakeGate::is_full(HandshakeRole role, Group group) const noexcept {
  const auto line = lines_[index(role)].find(group);
  return !has_room(index(role), line == lines_[index(role)].end() ? 0 : line->second.active);
}

void HandshakeGate::enter(HandshakeRole role, Group group) {
  ++active_[index(role)];
  ++lines_[index(role)][group].active;
}

void HandshakeGate::leave(HandshakeRole role, Group group) {
  --active_[index(role)];
  const auto line = lines_[index(role)].find(group);
  --line->second.active;
  forget_if_unused(index(role), line);
}

void HandshakeGate::forget_if_unused(std::size_t role, Lines::const_iterator line) {
  if (line->second.active == 0 && line->second.waiting.empty()) lines_[role].erase(line);
}

HandshakeGate::Lines::const_iterator HandshakeGate::next_line(std::size_t role) const noexcept {
  const Lines& lines = lines_[role];
  auto best = lines.end();
  for (auto line = lines.begin(); line != lines.end(); ++line) {
    const Line& one = line->second;
    if (one.waiting.empty() || !has_room(role, one.active)) continue;
    if (best == lines.end() || std::pair(one.active, one.waiting.front()) <
                                   std::pair(best->second.active, best->second.waiting.front()))
      best = line;
  }
  return best;
}

bool HandshakeGate::take_step() noexcept {
  if (steps_left_ == 0) return false;
  --steps_left_;
  return true;
}

bool HandshakeGate::wants_turn() const noexcept {
  return steps_left_ < kStepsPerTurn || !steps_.empty() || next_line(0) != lines_[0].end() ||
         next_line(1) != lines_[1].end();
}

void HandshakeGate::new_turn() noexcept {
  steps_left_ = kStepsPerTurn;
  admissions_left_ = kStepsPerTurn;
}

std::optional<std::uint64_t> HandshakeGate::next() {
  // What is under way comes first: it frees slots.
  if (!steps_.empty() && take_step()) {
    const std::uint64_t conn = steps_.front();
    steps_.pop_front();
    return conn;
  }
  for (std::size_t role = 0; role < lines_.size(); ++role) {
    const auto found = next_line(role);
    if (admissions_left_ == 0 || found == lines_[role].end()) continue;
    --admissions_left_;
    std::list<std::uint64_t>& waiting = lines_[role].find(found->first)->second.waiting;
    const std::uint64_t conn = waiting.front();
    waiting.pop_front();
    forget_if_unused(role, found);
    return conn;
  }
  return std::nullopt;
}

}  // namespace mooring::proxy
