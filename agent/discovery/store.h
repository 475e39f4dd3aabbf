// The resources of one control plane: what was accepted, with its version and its bytes, and what
// of it is served. Each resource keeps its last good version; a listener or cluster that changes
// goes on as it was until all that the new version names is there. Pure but for the decoding that
// it is given; on the control loop.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/clock.h"
#include "discovery/decode.h"
#include "discovery/delta_session.h"
#include "discovery/indexed.h"
#include "discovery/last_good.h"
#include "discovery/needs.h"
#include "snapshot/resources.h"

namespace mooring::discovery {

/// Names of what is new, other or gone, by kind.
struct Changes {
  std::array<std::set<std::string>, kResourceKinds.size()> names;

  [[nodiscard]] const std::set<std::string>& of(ResourceKind kind) const noexcept {
    return names[static_cast<std::size_t>(kind)];
  }
  [[nodiscard]] bool empty() const noexcept;
  [[nodiscard]] bool only(ResourceKind kind) const noexcept;
};

/// A listener or cluster, and something that it names and that is not there.
struct Missing {
  ResourceKind kind = ResourceKind::listener;
  std::string name;
  Need need;

  friend bool operator==(const Missing&, const Missing&) = default;
};

inline constexpr std::size_t kMaxMissing = 100;

struct StoreOptions {
  /// decode() of discovery/decode.h.
  std::function<DecodeResult(ResourceKind, std::string_view name, std::string_view bytes)> decode;
  /// A listener that takes the connections of one that cannot be decoded, and refuses them: nothing
  /// if its address cannot be read either.
  std::function<std::optional<snapshot::Listener>(std::string_view bytes, std::string reason)>
      refuse;
  /// How long a changed listener or cluster may wait for what it names. Then it is served as it is:
  /// a chain without its secret or cluster refuses.
  Milliseconds patience{5000};
};

class Store {
 public:
  explicit Store(StoreOptions options);
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;

  /// Takes a response; what is not taken is in the result, for the answer. Endpoints and secrets
  /// that nobody wants are passed over. A control plane that says that wanted endpoints or secrets
  /// are gone is not followed until nothing names them any more: so does Envoy.
  [[nodiscard]] std::vector<RejectedResource> apply(ResourceKind kind,
                                                    DeltaResponse&& response,
                                                    std::uint64_t now_ms);
  /// The same for what was on disk, in any order; into an empty store.
  [[nodiscard]] std::vector<RejectedResource> load(std::vector<StoredResource> stored);
  /// What has waited long enough is served.
  void tick(std::uint64_t now_ms);
  /// Something waits for tick().
  [[nodiscard]] bool is_waiting() const noexcept { return !pending_.empty(); }

  [[nodiscard]] const snapshot::Resources& resources() const noexcept { return resources_; }
  [[nodiscard]] const std::map<std::string, SystemListener>& system_listeners() const noexcept {
    return system_listeners_;
  }
  /// Is it among resources() or system_listeners()?
  [[nodiscard]] bool serves(ResourceKind kind, const std::string& name) const;
  /// Of resources(); null: it is not there.
  [[nodiscard]] const snapshot::LoadAssignment* endpoints(const std::string& name) const {
    return endpoints_.find(name);
  }
  [[nodiscard]] const std::map<std::string, PipeCluster>& pipe_clusters() const noexcept {
    return pipe_clusters_;
  }
  /// Since the last call.
  [[nodiscard]] Changes take_changes() { return std::exchange(changes_, {}); }

  /// Names of endpoints or secrets that clusters and listeners have.
  [[nodiscard]] const std::set<std::string>& wanted(ResourceKind kind) const noexcept {
    return wanted_[static_cast<std::size_t>(kind)];
  }
  /// Is another one when wanted() is, of either kind.
  [[nodiscard]] std::uint64_t names_revision() const noexcept { return names_revision_; }
  /// All clusters have their endpoints and secrets.
  [[nodiscard]] bool clusters_are_warm() const;
  /// Of what is served and of what waits; for people, the first hundred.
  [[nodiscard]] std::vector<Missing> missing() const;
  /// Versions that are not served, until there is another one.
  [[nodiscard]] std::vector<RejectedResource> rejected() const;
  /// What of it was taken, but not all of it is done: by kind and name.
  [[nodiscard]] std::vector<std::pair<Need, Note>> warnings() const;

  [[nodiscard]] DeltaSession::Versions versions(ResourceKind kind) const;
  /// Without the secrets of other servers than the control plane: they are theirs to keep.
  [[nodiscard]] std::vector<StoredResource> accepted() const;
  /// Is another one when accepted() is.
  [[nodiscard]] std::uint64_t revision() const noexcept { return revision_; }

 private:
  using Served = decltype(Decoded::resource);
  struct Entry {
    std::string version;  // empty: the control plane has it no more
    std::string bytes;
    std::vector<std::string> secrets;  // that it brought itself
    std::vector<Note> warnings;
  };
  using Key = std::pair<ResourceKind, std::string>;
  struct Pending {
    Decoded decoded;
    std::uint64_t since_ms = 0;
  };
  using Entries = std::map<std::string, Entry>;

  Entries& entries(ResourceKind kind) noexcept { return entries_[static_cast<std::size_t>(kind)]; }
  [[nodiscard]] const Entries& entries(ResourceKind kind) const noexcept {
    return entries_[static_cast<std::size_t>(kind)];
  }
  [[nodiscard]] DecodeResult decode(ResourceKind kind, const DeltaResource& resource) const;
  [[nodiscard]] std::optional<std::string> fault_of(ResourceKind kind,
                                                    const DeltaResource& resource) const;
  void accept(ResourceKind kind, DeltaResource&& resource, Decoded decoded, std::uint64_t now_ms);
  void reject(RejectedResource rejected, std::string_view bytes);
  void remove(ResourceKind kind, const std::string& name);
  void erase(ResourceKind kind, const std::string& name);
  void settle(std::uint64_t now_ms);
  void follow_names();
  void serve(ResourceKind kind, const std::string& name, Decoded decoded);
  void serve_resource(Served&& resource);
  void drop_secrets(Entry& entry);
  void note_change(ResourceKind kind, const std::string& name);
  [[nodiscard]] bool has_all(const std::vector<Need>& needs) const;
  [[nodiscard]] bool is_served_whole(ResourceKind kind, const std::string& name) const;
  void for_each_needy(const std::function<void(const Key&, const std::vector<Need>&)>& look) const;

  StoreOptions options_;
  std::array<Entries, kResourceKinds.size()> entries_;
  std::map<Key, RejectedResource> rejected_;
  std::map<Key, Pending> pending_;  // changed listeners and clusters
  std::array<std::set<std::string>, kResourceKinds.size()> wanted_;
  bool are_names_stale_ = false;
  std::uint64_t revision_ = 0;
  std::uint64_t names_revision_ = 0;
  Changes changes_;

  snapshot::Resources resources_;
  Indexed<snapshot::Listener> listeners_{resources_.listeners};
  Indexed<snapshot::Cluster> clusters_{resources_.clusters};
  Indexed<snapshot::LoadAssignment> endpoints_{resources_.endpoints};
  Indexed<snapshot::Secret> secrets_{resources_.secrets};
  std::map<std::string, SystemListener> system_listeners_;
  std::map<std::string, PipeCluster> pipe_clusters_;
};

}  // namespace mooring::discovery
