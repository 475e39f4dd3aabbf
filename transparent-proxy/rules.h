// Capture in the kernel: what the plan says, put there and taken away in single transactions,
// whatever the backend. mooring-net only, one thread.
#pragma once

#include <memory>
#include <string>

#include "core/result.h"
#include "transparent-proxy/plan.h"

namespace mooring::transparent_proxy {

struct RulesView {
  std::string backend;
  std::string table;      // the capture table; empty if there is none
  bool is_owned = false;  // held by owner_fd
  int owner_fd = -1;      // valid as long as the Rules live
  bool has_guard = false;
  bool is_draining = false;
};

class Rules {
 public:
  virtual ~Rules() = default;

  /// Captures by this plan and guards its closed part, instead of whatever was captured before; no
  /// connection slips through in between. Verified before it returns; on failure what was there
  /// before is still there.
  [[nodiscard]] virtual Checked<void> capture(const Plan& plan) = 0;
  /// Ends capture and keeps the guard of `plan` (on_agent_death). Connections redirected already
  /// live on.
  [[nodiscard]] virtual Checked<void> release(const Plan& plan) = 0;
  /// Ends capture and removes the guard.
  [[nodiscard]] virtual Checked<void> clear() = 0;
  /// What capture() or release() put there is still there, unchanged.
  [[nodiscard]] virtual bool is_intact() = 0;
  /// A firewall's file names the table that captures, and would not load as long as it has that
  /// name: capture() gives it another one.
  virtual bool is_name_saved() { return false; }
  /// Removes what carries our name and is not in use: leftovers of another boot or of a helper
  /// before us, also those that somebody saved into a firewall's file and loaded again; the drain
  /// table once nothing is left to drain.
  virtual void tidy() = 0;
  /// A capture table that an earlier helper left is there.
  [[nodiscard]] virtual bool has_inherited_capture() = 0;
  [[nodiscard]] virtual RulesView view() const = 0;
};

}  // namespace mooring::transparent_proxy
