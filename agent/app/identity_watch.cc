#include "app/identity_watch.h"

#include <utility>

#include "core/log.h"
#include "snapshot/from_config.h"

namespace mooring::app {

namespace {

constexpr Milliseconds kLookEvery{1000};

}  // namespace

std::optional<identity::IdentityFiles> identity_files(const config::AgentConfig& config) {
  if (!config.identity) return std::nullopt;
  identity::IdentityFiles files;
  files.trust_domain = config.host.trust_domain;
  files.svid = config.identity->svid_file;
  files.key = config.identity->key_file;
  files.bundle = config.identity->bundle_file;
  for (const config::FederatedBundle& other : config.identity->federated) {
    files.federated[other.trust_domain] = other.file;
  }
  return files;
}

IdentityWatch::IdentityWatch(Loop& loop, std::function<void()> on_change)
    : on_change_(std::move(on_change)), timer_(loop, [this] { look(); }) {
  timer_.start(kLookEvery, kLookEvery);
}

void IdentityWatch::set_files(std::optional<identity::IdentityFiles> files) {
  files_ = std::move(files);
  if (files_) return load(*files_);
  material_.reset();
  secrets_.clear();
  problem_.clear();
}

void IdentityWatch::look() {
  if (!files_ || identity::look_at(*files_) == seen_) return;
  load(*files_);
  on_change_();
}

void IdentityWatch::load(const identity::IdentityFiles& files) {
  // Before reading: what is replaced meanwhile is seen as a change by the next look.
  seen_ = identity::look_at(files);
  identity::MaterialText text;
  auto loaded = identity::load_material(files, &text);
  if (!loaded) {
    problem_ = describe(loaded.error());
    log::error("{}: {}", material_ ? "identity not replaced" : "no identity", problem_);
    return;
  }
  material_ = std::move(*loaded);
  secrets_ = snapshot::secrets_from(std::move(text));
  problem_.clear();
  ++updates_;
  log::info("identity {} is in use", material_->id());
}

}  // namespace mooring::app
