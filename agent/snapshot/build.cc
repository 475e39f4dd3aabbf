#include "snapshot/build.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "snapshot/transports.h"

namespace mooring::snapshot {

namespace {

constexpr const char* kOtherNames[] = {"outbound_other", "inbound_other"};
static_assert(kOutboundOther == 0 && kInboundOther == 1);
// Deeper than any policy that is written by hand or by a control plane.
constexpr int kMaxConditionDepth = 32;
const LoadAssignment kNoEndpoints;

Checked<void> add(Regexes& regexes, const StringMatcher& matcher, const char* field) {
  if (matcher.kind != StringMatcher::Kind::safe_regex) return {};
  auto added = regexes.add(matcher.text);
  if (!added) return fail(Diagnostic{field, added.error().message, ""});
  return {};
}

Checked<void> add(Regexes& regexes, const Condition& condition, int depth) {
  if (depth > kMaxConditionDepth)
    return fail(Diagnostic{"authorization", "its conditions are nested too deep", ""});
  if (auto done = add(regexes, condition.text, "authorization"); !done) return done;
  for (const Condition& inner : condition.of) {
    if (auto done = add(regexes, inner, depth + 1); !done) return done;
  }
  return {};
}

Checked<void> add(Regexes& regexes, const std::optional<RuleList>& list) {
  if (!list) return {};
  for (const Rule& rule : list->rules) {
    if (auto done = add(regexes, rule.condition, 1); !done) return done;
  }
  return {};
}

Checked<void> check(const FilterChain& chain) {
  if (!chain.not_served.empty()) return {};
  std::uint64_t weight = 0;
  for (const WeightedCluster& cluster : chain.clusters)
    weight += cluster.weight;
  if (weight == 0) return fail(Diagnostic{"clusters", "there is none with a weight", ""});
  for (const TokenBucket& bucket : chain.rate_limits) {
    if (bucket.max_tokens == 0 || bucket.tokens_per_fill == 0 || bucket.fill_interval.count() <= 0)
      return fail(Diagnostic{"rate_limits", "a bucket that never has a token", ""});
  }
  return {};
}

const TlsContext* pointer(const std::optional<TlsContext>& tls) noexcept {
  return tls ? &*tls : nullptr;
}

RegexesPtr unless_empty(std::shared_ptr<Regexes> regexes) {
  return regexes->empty() ? nullptr : std::move(regexes);
}

/// The address of what is refused is refused, and not left to whatever listener comes next.
ListenerPtr refusing(const Listener& source, const Diagnostic& why) {
  Listener listener = source;
  FilterChain chain;
  chain.not_served = fmt::format("the listener is rejected: {}: {}", why.path, why.message);
  listener.chains = {chain};
  auto part = std::make_shared<ListenerPart>(std::move(listener));
  part->parts.push_back({&part->chains.front(), {}, {}});
  return part;
}

// A bucket is as full as it was while its chain keeps its place.
std::vector<std::shared_ptr<RateLimit>> rate_limits_of(const FilterChain& chain,
                                                       std::size_t position,
                                                       const ListenerPart* old) {
  if (old != nullptr && position < old->chains.size() &&
      old->chains[position].match == chain.match &&
      old->chains[position].rate_limits == chain.rate_limits)
    return old->parts[position].rate_limits;
  std::vector<std::shared_ptr<RateLimit>> made;
  made.reserve(chain.rate_limits.size());
  for (const TokenBucket& bucket : chain.rate_limits)
    made.push_back(std::make_shared<RateLimit>(bucket));
  return made;
}

class Builder {
 public:
  Builder(const Resources& resources, const Snapshot* previous, const ResolvedNames& names)
      : resources_(resources),
        previous_(previous),
        names_(names),
        snapshot_(std::make_shared<Snapshot>()),
        transports_(resources.secrets, previous, built_) {}

  Built build() {
    snapshot_->generation = previous_ == nullptr ? 1 : previous_->generation + 1;
    add_clusters();
    add_listeners();
    share_indexes();
    snapshot_->listeners = SharedVector<ListenerPtr>(std::move(listeners_));
    snapshot_->clusters = SharedVector<ClusterPtr>(std::move(clusters_));
    snapshot_->endpoints = SharedVector<EndpointsPtr>(std::move(endpoints_));
    snapshot_->secrets = transports_.secrets();
    snapshot_->tls_parts = std::move(transports_).parts();
    built_.snapshot = std::move(snapshot_);
    return std::move(built_);
  }

 private:
  void add_clusters();
  void add_listeners();
  void share_indexes();
  void reject(const std::string& name, const Diagnostic& why) {
    built_.rejected.push_back({name, why.path, why.message});
  }

  // Null: it was never good.
  [[nodiscard]] ClusterPtr cluster(const Cluster& source);
  [[nodiscard]] Checked<ClusterPtr> make(const Cluster& source, const ClusterPart* old);
  [[nodiscard]] bool is_current(const ClusterPart& old);
  [[nodiscard]] EndpointsPtr endpoints(const ClusterPart& cluster);
  [[nodiscard]] ListenerPtr listener(const Listener& source);
  [[nodiscard]] Checked<ListenerPtr> make(const Listener& source, const ListenerPart* old);
  [[nodiscard]] bool is_current(const ListenerPart& old);

  const Resources& resources_;
  const Snapshot* previous_;
  const ResolvedNames& names_;
  Built built_;
  std::shared_ptr<Snapshot> snapshot_;
  std::vector<ListenerPtr> listeners_;
  std::vector<ClusterPtr> clusters_;
  std::vector<EndpointsPtr> endpoints_;  // at the positions of `clusters_`
  Transports transports_;
  std::unordered_map<std::string_view, const LoadAssignment*> assignments_;
};

Checked<ClusterPtr> Builder::make(const Cluster& source, const ClusterPart* old) {
  auto part = std::make_shared<ClusterPart>(source);
  part->connections = old == nullptr ? std::make_shared<ConnectionCount>() : old->connections;
  auto transport = transports_.make(pointer(part->tls), false);
  if (!transport) return fail(transport.error());
  part->transport = std::move(*transport);
  for (const SocketMatch& match : part->socket_matches) {
    transport = transports_.make(pointer(match.tls), false);
    if (!transport) return fail(transport.error());
    part->match_transports.push_back(std::move(*transport));
  }
  return part;
}

bool Builder::is_current(const ClusterPart& old) {
  return transports_.is_current(old.transport, false) &&
         std::all_of(
             old.match_transports.begin(),
             old.match_transports.end(),
             [this](const Transport& known) { return transports_.is_current(known, false); });
}

// Workers compare addresses to see what a swap touches.
ClusterPtr Builder::cluster(const Cluster& source) {
  ClusterPtr old;
  if (previous_ != nullptr) {
    const std::size_t at = previous_->find_cluster(source.name);
    if (at != kNoMatch) old = previous_->clusters[at];
  }
  if (old && static_cast<const Cluster&>(*old) == source && is_current(*old)) return old;
  auto made = make(source, old.get());
  if (made) return std::move(*made);
  reject(source.name, made.error());
  if (!old || is_current(*old)) return old;
  return make(*old, old.get()).value_or(old);
}

bool has_same_addresses(const EndpointsPart& a, const EndpointsPart& b) {
  return std::equal(
      a.list.begin(), a.list.end(), b.list.begin(), b.list.end(), [](const auto& x, const auto& y) {
        return x.address == y.address;
      });
}

EndpointsPtr Builder::endpoints(const ClusterPart& cluster) {
  const LoadAssignment* source = &cluster.endpoints;
  if (cluster.type == Cluster::Type::eds) {
    const auto found = assignments_.find(cluster.endpoints_name);
    source = found == assignments_.end() ? &kNoEndpoints : found->second;
  }
  const std::size_t at = previous_ == nullptr ? kNoMatch : previous_->find_cluster(cluster.name);
  EndpointsPtr old = at == kNoMatch ? nullptr : previous_->endpoints[at];
  const bool is_same = old && static_cast<const LoadAssignment&>(*old) == *source;
  if (is_same && cluster.type != Cluster::Type::strict_dns) return old;
  auto made = std::make_shared<const EndpointsPart>(*source, names_);
  return is_same && has_same_addresses(*old, *made) ? old : made;
}

void Builder::add_clusters() {
  for (const LoadAssignment& assignment : resources_.endpoints)
    assignments_.emplace(assignment.name, &assignment);
  for (const Cluster& source : resources_.clusters) {
    ClusterPtr part = cluster(source);
    if (!part) continue;
    endpoints_.push_back(endpoints(*part));
    clusters_.push_back(std::move(part));
  }
}

Checked<ListenerPtr> Builder::make(const Listener& source, const ListenerPart* old) {
  auto part = std::make_shared<ListenerPart>(source);
  auto regexes = std::make_shared<Regexes>();
  for (const FilterChain& chain : part->chains) {
    if (auto done = check(chain); !done) return fail(done.error());
    auto transport = transports_.make(pointer(chain.tls), true);
    if (!transport) return fail(transport.error());
    part->parts.push_back(
        {&chain, std::move(*transport), rate_limits_of(chain, part->parts.size(), old)});
    for (const Authorization& filter : chain.authorization) {
      if (auto done = add(*regexes, filter.rules); !done) return fail(done.error());
      if (auto done = add(*regexes, filter.shadow); !done) return fail(done.error());
    }
  }
  part->regexes = unless_empty(std::move(regexes));
  return part;
}

bool Builder::is_current(const ListenerPart& old) {
  return std::all_of(old.parts.begin(), old.parts.end(), [this](const ChainPart& chain) {
    return transports_.is_current(chain.transport, true);
  });
}

ListenerPtr Builder::listener(const Listener& source) {
  ListenerPtr old;
  if (previous_ != nullptr) {
    const std::size_t at = previous_->find_listener(source.name);
    if (at != kNoMatch) old = previous_->listeners[at];
  }
  if (old && static_cast<const Listener&>(*old) == source && is_current(*old)) return old;
  auto made = make(source, old.get());
  if (made) return std::move(*made);
  reject(source.name, made.error());
  if (!old) return refusing(source, made.error());
  return is_current(*old) ? old : make(*old, old.get()).value_or(old);
}

void Builder::add_listeners() {
  for (const char* name : kOtherNames) {
    Listener none;
    none.name = name;
    none.direction = name == kOtherNames[kOutboundOther] ? Direction::outbound : Direction::inbound;
    const auto given = std::find_if(resources_.listeners.begin(),
                                    resources_.listeners.end(),
                                    [&](const Listener& source) { return source.name == name; });
    listeners_.push_back(listener(given == resources_.listeners.end() ? none : *given));
  }
  for (const Listener& source : resources_.listeners) {
    if (source.name != kOtherNames[kOutboundOther] && source.name != kOtherNames[kInboundOther])
      listeners_.push_back(listener(source));
  }
}

bool has_same_index(const Listener& a, const Listener& b) {
  return a.name == b.name && a.direction == b.direction && a.match == b.match && a.bind == b.bind;
}
bool has_same_index(const Cluster& a, const Cluster& b) {
  return a.name == b.name && a.type == b.type && a.endpoints_name == b.endpoints_name;
}

template <class Part>
bool have_same_index(const SharedVector<Part>& a, const std::vector<Part>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const auto& x, const auto& y) {
    return x == y || has_same_index(*x, *y);
  });
}

void Builder::share_indexes() {
  const bool has_same_listeners =
      previous_ != nullptr && have_same_index(previous_->listeners, listeners_);
  snapshot_->listener_index = has_same_listeners
                                  ? previous_->listener_index
                                  : std::make_shared<const ListenerIndex>(listeners_);
  const bool has_same_clusters =
      previous_ != nullptr && have_same_index(previous_->clusters, clusters_);
  snapshot_->cluster_index = has_same_clusters ? previous_->cluster_index
                                               : std::make_shared<const ClusterIndex>(clusters_);
}

}  // namespace

Built build(const Resources& resources, const Snapshot* previous, const ResolvedNames& names) {
  return Builder(resources, previous, names).build();
}

SnapshotPtr with_endpoints(const Snapshot& previous,
                           const std::vector<EndpointsChange>& changes,
                           const ResolvedNames& names) {
  auto snapshot = std::make_shared<Snapshot>(previous);
  ++snapshot->generation;
  for (const EndpointsChange& change : changes) {
    const LoadAssignment& now = change.now == nullptr ? kNoEndpoints : *change.now;
    for (const std::size_t at : previous.cluster_index->find_by_endpoints(change.name)) {
      if (static_cast<const LoadAssignment&>(*previous.endpoints[at]) == now) continue;
      snapshot->endpoints.set(at, std::make_shared<const EndpointsPart>(now, names));
    }
  }
  return snapshot;
}

}  // namespace mooring::snapshot
