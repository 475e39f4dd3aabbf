// Secrets' texts as identity material, and what the TLS contexts of a snapshot are made of.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "snapshot/build.h"

namespace mooring::snapshot {

/// For one build(). Control thread.
class Transports {
 public:
  /// `previous` may be null.
  Transports(const std::vector<Secret>& secrets, const Snapshot* previous, Built& built);

  /// In the order of their names.
  [[nodiscard]] const std::vector<SecretPtr>& secrets() const noexcept { return secrets_; }
  /// `tls` may be null, and outlives the result. Fails for what cannot be served; the diagnostic's
  /// path is the field.
  [[nodiscard]] Checked<Transport> make(const TlsContext* tls, bool is_server);
  /// Is that still what make() would give?
  [[nodiscard]] bool is_current(const Transport& transport, bool is_server);
  [[nodiscard]] std::vector<TlsPartPtr> parts() && { return std::move(parts_); }

 private:
  [[nodiscard]] const SecretPart* find(const std::string& name) const;
  /// Null: a secret is missing.
  [[nodiscard]] TlsPartPtr part(const TlsContext& tls, bool is_server);
  [[nodiscard]] identity::MaterialPtr pair(const identity::PresentedPtr& presented,
                                           const identity::TrustedPtr& trusted);
  [[nodiscard]] TlsPartPtr intern(TlsPart part);

  const Snapshot* previous_;
  std::vector<SecretPtr> secrets_;
  std::vector<TlsPartPtr> parts_;
  using Pair = std::pair<const identity::Presented*, const identity::Trusted*>;
  std::map<Pair, identity::MaterialPtr> pairs_;
};

}  // namespace mooring::snapshot
