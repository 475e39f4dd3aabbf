#include "discovery/store.h"

#include <algorithm>
#include <type_traits>
#include <variant>

namespace mooring::discovery {

namespace {

template <class... F>
struct Overloaded : F... {
  using F::operator()...;
};

/// Endpoints and secrets are asked for by name, because something names them.
bool is_named(ResourceKind kind) {
  return kind == ResourceKind::endpoints || kind == ResourceKind::secret;
}

}  // namespace

bool Changes::empty() const noexcept {
  return std::all_of(names.begin(), names.end(), [](const auto& each) { return each.empty(); });
}

bool Changes::only(ResourceKind kind) const noexcept {
  return !of(kind).empty() && std::all_of(names.begin(), names.end(), [&](const auto& each) {
    return each.empty() || &each == &of(kind);
  });
}

Store::Store(StoreOptions options) : options_(std::move(options)) {}

// ---- what comes

std::vector<RejectedResource> Store::apply(ResourceKind kind,
                                           DeltaResponse&& response,
                                           std::uint64_t now_ms) {
  std::vector<RejectedResource> rejected;
  for (const std::string& name : response.removed)
    remove(kind, name);
  for (DeltaResource& resource : response.resources) {
    if (is_named(kind) && !wanted(kind).contains(resource.name)) continue;
    auto fault = fault_of(kind, resource);
    if (fault) {
      rejected.push_back({kind, resource.name, "", std::move(*fault), resource.version});
      if (is_resource_name(resource.name)) reject(rejected.back(), resource.bytes);
      continue;
    }
    auto decoded = decode(kind, resource);
    if (decoded) {
      accept(kind, std::move(resource), std::move(*decoded), now_ms);
      continue;
    }
    rejected.push_back(
        {kind, resource.name, decoded.error().field, decoded.error().reason, resource.version});
    reject(rejected.back(), resource.bytes);
  }
  settle(now_ms);
  return rejected;
}

std::vector<RejectedResource> Store::load(std::vector<StoredResource> stored) {
  std::vector<RejectedResource> rejected;
  // Names first: endpoints and secrets are taken because something has them.
  for (const bool is_second_pass : {false, true}) {
    std::array<DeltaResponse, kResourceKinds.size()> responses;
    for (StoredResource& each : stored) {
      if (is_named(each.kind) != is_second_pass) continue;
      responses[static_cast<std::size_t>(each.kind)].resources.push_back(
          {std::move(each.name),
           std::move(each.version),
           std::string(type_url(each.kind)),
           std::move(each.bytes)});
    }
    for (const ResourceKind kind : kResourceKinds) {
      auto more = apply(kind, std::move(responses[static_cast<std::size_t>(kind)]), 0);
      std::move(more.begin(), more.end(), std::back_inserter(rejected));
    }
  }
  return rejected;
}

// A secret of another server has a longer name here than there.
DecodeResult Store::decode(ResourceKind kind, const DeltaResource& resource) const {
  const auto elsewhere = parse_sds_name(resource.name);
  if (kind != ResourceKind::secret || !elsewhere)
    return options_.decode(kind, resource.name, resource.bytes);
  auto decoded = options_.decode(kind, elsewhere->name, resource.bytes);
  if (decoded) std::get<snapshot::Secret>(decoded->resource).name = resource.name;
  return decoded;
}

std::optional<std::string> Store::fault_of(ResourceKind kind, const DeltaResource& resource) const {
  if (!is_resource_name(resource.name)) return "has no name that can be used";
  if (resource.type_url != type_url(kind)) return "is of another type than its response";
  return std::nullopt;
}

void Store::accept(ResourceKind kind,
                   DeltaResource&& resource,
                   Decoded decoded,
                   std::uint64_t now_ms) {
  const Key key{kind, resource.name};
  rejected_.erase(key);
  ++revision_;
  Entry& entry = entries(kind)[resource.name];
  entry.version = std::move(resource.version);
  entry.bytes = std::move(resource.bytes);
  entry.warnings = std::move(decoded.warnings);
  if (!is_named(kind)) {
    are_names_stale_ = true;
    // What never was whole has nothing to go on with: it is served, and refuses, at once, so that
    // its connections do not go where they would without it.
    if (is_served_whole(kind, resource.name) && !has_all(needs_of(decoded))) {
      pending_.insert_or_assign(key, Pending{std::move(decoded), now_ms});
      return;
    }
    pending_.erase(key);
  }
  serve(kind, resource.name, std::move(decoded));
}

void Store::reject(RejectedResource rejected, std::string_view bytes) {
  const bool is_new =
      rejected.kind == ResourceKind::listener && !entries(rejected.kind).contains(rejected.name);
  if (is_new && options_.refuse) {
    auto refusing = options_.refuse(bytes, rejected.reason);
    if (refusing) {
      refusing->name = rejected.name;
      if (listeners_.put(std::move(*refusing))) note_change(rejected.kind, rejected.name);
    }
  }
  const Key key{rejected.kind, rejected.name};
  rejected_.insert_or_assign(key, std::move(rejected));
}

void Store::remove(ResourceKind kind, const std::string& name) {
  rejected_.erase({kind, name});
  if (!is_named(kind)) {
    are_names_stale_ = true;
    return erase(kind, name);
  }
  const auto found = entries(kind).find(name);
  if (found == entries(kind).end()) return;
  if (wanted(kind).contains(name)) {
    found->second.version.clear();
  } else {
    erase(kind, name);
  }
}

void Store::erase(ResourceKind kind, const std::string& name) {
  pending_.erase({kind, name});
  if (const auto found = entries(kind).find(name); found != entries(kind).end()) {
    drop_secrets(found->second);
    entries(kind).erase(found);
    ++revision_;
  }
  bool is_gone = false;
  switch (kind) {
    case ResourceKind::cluster:
      is_gone = clusters_.erase(name) || pipe_clusters_.erase(name) != 0;
      break;
    case ResourceKind::endpoints:
      is_gone = endpoints_.erase(name);
      break;
    case ResourceKind::secret:
      is_gone = secrets_.erase(name);
      break;
    case ResourceKind::listener:
      is_gone = listeners_.erase(name) || system_listeners_.erase(name) != 0;
      break;
  }
  if (is_gone) note_change(kind, name);
}

// ---- what is served

// New names are known at once; what waited for what has come is served; what nobody names any more
// is dropped only then, as the version before may have named it.
void Store::settle(std::uint64_t now_ms) {
  tick(now_ms);
  if (are_names_stale_) follow_names();
}

void Store::tick(std::uint64_t now_ms) {
  const auto patience = static_cast<std::uint64_t>(options_.patience.count());
  // Clusters come before listeners in this order, and are what those may wait for.
  for (auto next = pending_.begin(); next != pending_.end();) {
    const auto current = next++;
    Pending& pending = current->second;
    if (now_ms - pending.since_ms < patience && !has_all(needs_of(pending.decoded))) continue;
    Decoded decoded = std::move(pending.decoded);
    const Key key = current->first;
    pending_.erase(current);
    serve(key.first, key.second, std::move(decoded));
    are_names_stale_ = true;
  }
  if (are_names_stale_) follow_names();
}

void Store::follow_names() {
  are_names_stale_ = false;
  std::array<std::set<std::string>, kResourceKinds.size()> wanted;
  for_each_needy([&](const Key&, const std::vector<Need>& needs) {
    for (const Need& need : needs)
      wanted[static_cast<std::size_t>(need.kind)].insert(need.name);
  });
  for (const ResourceKind kind : {ResourceKind::endpoints, ResourceKind::secret}) {
    auto& names = wanted[static_cast<std::size_t>(kind)];
    if (names == wanted_[static_cast<std::size_t>(kind)]) continue;
    ++names_revision_;
    for (const std::string& name : wanted_[static_cast<std::size_t>(kind)]) {
      if (names.contains(name)) continue;
      rejected_.erase({kind, name});
      erase(kind, name);
    }
    wanted_[static_cast<std::size_t>(kind)] = std::move(names);
  }
}

void Store::serve(ResourceKind kind, const std::string& name, Decoded decoded) {
  Entry& entry = entries(kind)[name];
  const std::vector<std::string> before = std::exchange(entry.secrets, {});
  for (snapshot::Secret& secret : decoded.secrets) {
    entry.secrets.push_back(secret.name);
    if (secrets_.put(std::move(secret))) note_change(ResourceKind::secret, entry.secrets.back());
  }
  for (const std::string& old : before) {
    const bool is_kept =
        std::find(entry.secrets.begin(), entry.secrets.end(), old) != entry.secrets.end();
    if (!is_kept && secrets_.erase(old)) note_change(ResourceKind::secret, old);
  }
  serve_resource(std::move(decoded.resource));
}

// A name may become another sort of the same kind.
void Store::serve_resource(Served&& resource) {
  const auto put_in_map = [this](auto& map, auto&& value, ResourceKind kind) {
    auto& old = map[value.name];
    const std::string name = value.name;
    if (old != value) note_change(kind, name);
    old = std::forward<decltype(value)>(value);
  };
  std::visit(Overloaded{[&](snapshot::Listener&& it) {
                          const std::string name = it.name;
                          const bool was_other = system_listeners_.erase(name) != 0;
                          if (listeners_.put(std::move(it)) || was_other)
                            note_change(ResourceKind::listener, name);
                        },
                        [&](SystemListener&& it) {
                          if (listeners_.erase(it.name))
                            note_change(ResourceKind::listener, it.name);
                          put_in_map(system_listeners_, std::move(it), ResourceKind::listener);
                        },
                        [&](snapshot::Cluster&& it) {
                          const std::string name = it.name;
                          const bool was_other = pipe_clusters_.erase(name) != 0;
                          if (clusters_.put(std::move(it)) || was_other)
                            note_change(ResourceKind::cluster, name);
                        },
                        [&](PipeCluster&& it) {
                          if (clusters_.erase(it.name)) note_change(ResourceKind::cluster, it.name);
                          put_in_map(pipe_clusters_, std::move(it), ResourceKind::cluster);
                        },
                        [&](snapshot::LoadAssignment&& it) {
                          const std::string name = it.name;
                          if (endpoints_.put(std::move(it)))
                            note_change(ResourceKind::endpoints, name);
                        },
                        [&](snapshot::Secret&& it) {
                          const std::string name = it.name;
                          if (secrets_.put(std::move(it))) note_change(ResourceKind::secret, name);
                        }},
             std::move(resource));
}

void Store::drop_secrets(Entry& entry) {
  for (const std::string& name : std::exchange(entry.secrets, {}))
    if (secrets_.erase(name)) note_change(ResourceKind::secret, name);
}

void Store::note_change(ResourceKind kind, const std::string& name) {
  changes_.names[static_cast<std::size_t>(kind)].insert(name);
}

bool Store::serves(ResourceKind kind, const std::string& name) const {
  switch (kind) {
    case ResourceKind::cluster:
      return clusters_.find(name) != nullptr;
    case ResourceKind::endpoints:
      return endpoints_.find(name) != nullptr;
    case ResourceKind::secret:
      return secrets_.find(name) != nullptr;
    case ResourceKind::listener:
      return listeners_.find(name) != nullptr || system_listeners_.contains(name);
  }
  return false;
}

bool Store::has_all(const std::vector<Need>& needs) const {
  return std::all_of(needs.begin(), needs.end(), [this](const Need& each) {
    return serves(each.kind, each.name);
  });
}

}  // namespace mooring::discovery
