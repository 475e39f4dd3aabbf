// Decides what is captured at every moment: who may ask, what happens when the agent goes, stalls
// or comes back, when the rules are repaired and when that is given up. No descriptors and no clock
// of its own: tests drive it.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <string>

#include "capture_client/messages.h"
#include "core/clock.h"
#include "transparent-proxy/bounds.h"
#include "transparent-proxy/rules.h"

namespace mooring::transparent_proxy {

using capture_client::CaptureState;

/// Repairs of rules that another program changed: five in a minute, then it is a fight and we stop.
class RepairBudget {
 public:
  static constexpr std::size_t kRepairs = 5;
  static constexpr std::chrono::seconds kWindow{60};
  /// True if one more is due.
  [[nodiscard]] bool admit(MonoTime now);
  void reset() { recent_.clear(); }

 private:
  std::deque<MonoTime> recent_;
};

/// What survives a restart of the helper.
struct SavedState {
  std::optional<InterceptConfig> active;       // captured when it was written
  std::optional<InterceptConfig> set_by_root;  // `mooring capture on`
  bool is_held_off = false;                    // `mooring capture off`
  bool was_on_trial = false;  // nobody confirmed what was captured when it ended; a file of its own
  friend bool operator==(const SavedState&, const SavedState&) = default;
};

class CaptureControl {
 public:
  struct Environment {
    Rules& rules;        // outlives the control
    const Clock& clock;  // likewise
    std::function<HostFacts()> facts;
    std::function<std::vector<IpAddress>()> name_servers;  // facts().name_servers alone
    std::function<Checked<Bounds>()>
        bounds;  // read again for every request: capture.toml may have changed
    std::function<void(const SavedState&)> save;
    /// A file that tells the rollback what is on trial; empty: nothing is.
    std::function<Checked<void>(const std::string&)> save_trial{};
    /// Queries for names are no longer redirected to this port: those who ask from one socket again
    /// and again shall not go on there.
    std::function<void(std::uint16_t)> forget_queries{};
  };
  enum class Caller : std::uint8_t { root, agent };

  CaptureControl(Environment environment, SavedState saved);

  /// Once, before anything else. With rules of an earlier helper in place the agent has two seconds
  /// to come back; without them, what is closed is guarded at once.
  void start();

  // ---- requests
  [[nodiscard]] Checked<void> set_plan(const InterceptConfig& config);  // root
  /// As set_plan(), but back to what was before unless confirm() comes within `limit`. The time
  /// that there is: zero where nothing more is captured than was confirmed before.
  [[nodiscard]] Checked<std::chrono::seconds> try_plan(const InterceptConfig& config,
                                                       std::chrono::seconds limit);
  [[nodiscard]] Checked<void> confirm();
  [[nodiscard]] Checked<void> activate(const InterceptConfig& config);  // the agent
  [[nodiscard]] Checked<void> narrow(const InterceptConfig& config);
  [[nodiscard]] Checked<void> drop(Caller caller);

  // ---- what happens
  /// A new agent connected; its listeners accept. What it wants it says by activate(); what root
  /// set comes back at once.
  void on_agent_present();
  /// The same agent answers again after a stall.
  void on_agent_recovered();
  /// It is gone or does not answer: on_agent_death. `why` is a phrase for the log.
  void on_agent_gone(const std::string& why);
  /// Something in nf_tables changed, or it is time to look.
  void on_rules_changed();
  /// Four times a second: what has to be tried again, what is over.
  void on_tick();
  /// The helper ends in order. What it has to leave behind is named in the log.
  void on_stop();

  [[nodiscard]] capture_client::Status status() const;
  [[nodiscard]] bool is_on_trial() const noexcept { return trial_.has_value(); }
  /// Rules that should be gone are owned by a socket of which the agent has a copy.
  [[nodiscard]] bool needs_owner_back() {
    return must_release_ && env_.rules.has_inherited_capture();
  }
  [[nodiscard]] bool is_agent_present() const noexcept { return is_agent_present_; }

 private:
  [[nodiscard]] Checked<void> capture(const InterceptConfig& config);
  [[nodiscard]] Checked<void> capture_nothing();
  [[nodiscard]] bool is_confirmed_already(const InterceptConfig& config) const;
  void roll_back(const std::string& why);
  void end_trial();
  void release(const std::string& why, CaptureState next);
  void try_release();
  void look_again();
  void recapture();
  void learn_whether_dns_is_allowed();
  void forget_queries() const;
  [[nodiscard]] capture_client::DnsRedirection dns() const noexcept;
  [[nodiscard]] std::string describe_trial() const;
  void become(CaptureState state);
  void save();

  struct Trial {
    SavedState
        before;  // what the state file has, so that nothing has to happen for it to come back
    std::chrono::seconds limit{};
    MonoTime end;
    WallTime wall_end;
  };

  Environment env_;
  std::optional<InterceptConfig> active_;  // captured now, or again when the agent comes back
  std::optional<Plan> plan_;               // of active_
  std::vector<IpAddress> name_servers_;    // that plan_ was made for
  bool may_redirect_dns_ = false;          // as of the agent's last word
  std::optional<InterceptConfig> set_by_root_;
  bool is_held_off_ = false;
  bool has_trial_mark_ = false;  // until the rules of the trial are gone or confirmed
  std::optional<Trial> trial_;
  bool is_agent_present_ = false;
  bool must_release_ = false;  // release() failed and is tried again
  MonoTime last_try_{};
  std::optional<MonoTime> grace_end_;
  CaptureState state_ = CaptureState::off;
  WallTime since_;
  RepairBudget budget_;
  std::uint32_t repairs_ = 0;
  std::uint32_t openings_ = 0;
  std::string problem_;
};

/// For the state file; decode fails for anything that encode did not make.
[[nodiscard]] std::string encode_state(const SavedState& state);
[[nodiscard]] Result<SavedState> decode_state(std::string_view bytes);

}  // namespace mooring::transparent_proxy
