#include "proxy/handshake_gate.h"

namespace mooring::proxy {

bool HandshakeGate::take_step() noexcept {
  if (steps_left_ == 0) return false;
  --steps_left_;
  return true;
}

bool HandshakeGate::wants_turn() const noexcept {
  return steps_left_ < kStepsPerTurn || !steps_.empty() || can_admit(0) || can_admit(1);
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
  for (std::size_t role = 0; role < slots_.size(); ++role) {
    if (admissions_left_ == 0 || !can_admit(role)) continue;
    --admissions_left_;
    const std::uint64_t conn = slots_[role].front();
    slots_[role].pop_front();
    return conn;
  }
  return std::nullopt;
}

}  // namespace mooring::proxy
