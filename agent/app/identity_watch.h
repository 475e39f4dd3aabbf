// The identity files of the configuration: loaded at start, loaded again when they change. Control
// thread.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "config/model.h"
#include "core/loop.h"
#include "identity/svid_files.h"
#include "snapshot/resources.h"

namespace mooring::app {

/// Nothing for a host that has none.
[[nodiscard]] std::optional<identity::IdentityFiles> identity_files(
    const config::AgentConfig& config);

class IdentityWatch {
 public:
  /// `on_change` runs when other material was taken into use, or a problem came or went.
  IdentityWatch(Loop& loop, std::function<void()> on_change);

  /// Loads at once, without calling `on_change`. Broken files keep what was loaded before.
  void set_files(std::optional<identity::IdentityFiles> files);

  /// The same as resources: empty without an identity.
  [[nodiscard]] const std::vector<snapshot::Secret>& secrets() const noexcept { return secrets_; }
  [[nodiscard]] const identity::MaterialPtr& material() const noexcept { return material_; }
  /// Why the newest files are not in use; empty when they are.
  [[nodiscard]] const std::string& problem() const noexcept { return problem_; }
  [[nodiscard]] std::uint64_t updates() const noexcept { return updates_; }

 private:
  void look();
  void load(const identity::IdentityFiles& files);

  std::function<void()> on_change_;
  std::optional<identity::IdentityFiles> files_;
  identity::FilesState seen_;
  identity::MaterialPtr material_;
  std::vector<snapshot::Secret> secrets_;
  std::string problem_;
  std::uint64_t updates_ = 0;
  Timer timer_;
};

}  // namespace mooring::app
