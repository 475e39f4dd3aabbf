// The network filters of a chain. One that is not understood is never skipped.
#include <algorithm>
#include <array>

#include "discovery/decode_parts.h"
#include "xdsapi/local_ratelimit.pb.h"
#include "xdsapi/set_filter_state.pb.h"
#include "xdsapi/tcp_proxy.pb.h"

namespace mooring::discovery {

namespace {

namespace tcp_v3 = envoy::extensions::filters::network::tcp_proxy::v3;
namespace rate_v3 = envoy::extensions::filters::network::local_ratelimit::v3;
namespace state_v3 = envoy::extensions::filters::network::set_filter_state::v3;

constexpr int kMaxFilters = 64;  // of a chain
constexpr int kMaxWeightedClusters = 1024;
constexpr Milliseconds kIdleTimeout{3600 * 1000};  // Envoy's, where none is said
constexpr Milliseconds kShortestFill{50};          // Envoy's
constexpr std::uint32_t kMaxWeight = std::numeric_limits<std::uint32_t>::max();

void decode_weighted(Reader& reader,
                     const tcp_v3::TcpProxy::WeightedCluster& message,
                     snapshot::FilterChain& chain) {
  const In in(reader, "weighted_clusters", message);
  if (!reader.within("clusters", message.clusters_size(), kMaxWeightedClusters)) return;
  std::uint64_t sum = 0;
  for (int i = 0; i < message.clusters_size(); ++i) {
    const auto& entry = message.clusters(i);
    const In one(reader, "clusters", i, entry);
    if (entry.weight() == 0) reader.reject("weight", "is 0");
    chain.clusters.push_back({read_resource_name(reader, "name", entry.name()), entry.weight()});
    sum += entry.weight();
  }
  if (sum == 0 || sum > kMaxWeight)
    reader.reject("clusters", "has weights whose sum is not between 1 and 4294967295");
}

void decode_tcp_proxy(Reader& reader,
                      const tcp_v3::TcpProxy& message,
                      snapshot::FilterChain& chain) {
  switch (message.cluster_specifier_case()) {
    case tcp_v3::TcpProxy::kCluster:
      chain.clusters = {{read_resource_name(reader, "cluster", message.cluster()), 1}};
      break;
    case tcp_v3::TcpProxy::kWeightedClusters:
      decode_weighted(reader, message.weighted_clusters(), chain);
      break;
    case tcp_v3::TcpProxy::CLUSTER_SPECIFIER_NOT_SET:
      reader.reject("cluster", "is missing");
      break;
  }
  chain.idle_timeout = kIdleTimeout;
  if (message.has_idle_timeout())
    chain.idle_timeout = read_duration(reader, "idle_timeout", message.idle_timeout());
  if (message.has_max_connect_attempts()) {
    chain.max_connect_attempts =
        read_u32(reader, "max_connect_attempts", message.max_connect_attempts(), 1);
  }
  chain.access_logs = decode_access_logs(reader, message.access_log());
}

void decode_rate_limit(Reader& reader,
                       const rate_v3::LocalRateLimit& message,
                       snapshot::FilterChain& chain) {
  const envoy::type::v3::TokenBucket& bucket = message.token_bucket();
  const In in(reader, "token_bucket", bucket);
  snapshot::TokenBucket out;
  out.max_tokens = bucket.max_tokens();
  if (out.max_tokens == 0) reader.reject("max_tokens", "is 0");
  if (bucket.has_tokens_per_fill())
    out.tokens_per_fill = read_u32(reader, "tokens_per_fill", bucket.tokens_per_fill(), 1);
  out.fill_interval = read_duration(reader, "fill_interval", bucket.fill_interval());
  if (out.fill_interval < kShortestFill) reader.reject("fill_interval", "is below 50 ms");
  chain.rate_limits.push_back(out);
}

bool asks_for_peer(const snapshot::Condition& condition) {
  return condition.kind == snapshot::Condition::Kind::peer_name ||
         std::any_of(condition.of.begin(), condition.of.end(), asks_for_peer);
}

/// Envoy ends a connection without TLS as soon as a matcher asks for the peer's names, whatever the
/// list says of others; a condition that merely does not hold would let it through.
void decode_rbac(Reader& reader,
                 const network_rbac_v3::RBAC& message,
                 snapshot::FilterChain& chain) {
  snapshot::Authorization out = decode_authorization(reader, message);
  if (!chain.tls && message.has_matcher() && out.rules) {
    const auto asks = [](const snapshot::Rule& rule) { return asks_for_peer(rule.condition); };
    if (std::any_of(out.rules->rules.begin(), out.rules->rules.end(), asks))
      reader.reject("matcher", "asks for the peer's name, and the chain has no TLS");
  }
  chain.authorization.push_back(std::move(out));
}

/// What only routes of HTTP look at; Envoy's own keys change what the TCP proxy does.
void decode_filter_state(Reader& reader, const state_v3::Config& message, snapshot::FilterChain&) {
  for (const auto* values :
       {&message.on_new_connection(), &message.on_downstream_tls_handshake()}) {
    for (const auto& value : *values) {
      if (!value.object_key().starts_with("kuma."))
        reader.reject("", "sets a key that this agent does not know");
    }
  }
  reader.ignore("", "writes what only routes of HTTP read");
}

template <class Message, void (*decode)(Reader&, const Message&, snapshot::FilterChain&)>
void decode_config(Reader& reader, const google::protobuf::Any& any, snapshot::FilterChain& chain) {
  Message message;
  if (!reader.parse(any.value(), message)) return;
  const In in(reader, "", message);
  decode(reader, message, chain);
}

/// An application's: its address is refused, and what is inside is for a later version.
void refuse_http(Reader&, const google::protobuf::Any&, snapshot::FilterChain& chain) {
  chain.not_served = "HTTP is not served by this agent";
}

struct NetworkFilter {
  std::string_view type;
  bool is_last;
  void (*decode)(Reader&, const google::protobuf::Any&, snapshot::FilterChain&);
};

constexpr std::array kFilters{
    NetworkFilter{"envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
                  true,
                  &decode_config<tcp_v3::TcpProxy, decode_tcp_proxy>},
    NetworkFilter{kHttpConnectionManager, true, &refuse_http},
    NetworkFilter{"envoy.extensions.filters.network.rbac.v3.RBAC",
                  false,
                  &decode_config<network_rbac_v3::RBAC, decode_rbac>},
    NetworkFilter{"envoy.extensions.filters.network.local_ratelimit.v3.LocalRateLimit",
                  false,
                  &decode_config<rate_v3::LocalRateLimit, decode_rate_limit>},
    NetworkFilter{"envoy.extensions.filters.network.set_filter_state.v3.Config",
                  false,
                  &decode_config<state_v3::Config, decode_filter_state>},
};

}  // namespace

void decode_filters(Reader& reader,
                    const listener_v3::FilterChain& message,
                    snapshot::FilterChain& chain) {
  const int count = message.filters_size();
  if (!reader.within("filters", count, kMaxFilters)) return;
  if (count == 0) reader.reject("filters", "is empty");
  for (int i = 0; i < count && reader.ok(); ++i) {
    const listener_v3::Filter& filter = message.filters(i);
    const In in(reader, "filters", i, filter);
    const In config(reader, "typed_config", filter.typed_config());
    const std::string_view type = type_name(filter.typed_config());
    const auto* known = std::find_if(
        kFilters.begin(), kFilters.end(), [&](const NetworkFilter& f) { return f.type == type; });
    if (known == kFilters.end()) {
      reader.reject("",
                    "is a filter that this agent does not have" +
                        (type.empty() ? std::string() : ": " + std::string(type)));
      return;
    }
    if (known->is_last != (i == count - 1)) {
      reader.reject("", "is not where it has to be: only the last filter ends a chain");
      return;
    }
    known->decode(reader, filter.typed_config(), chain);
  }
}

}  // namespace mooring::discovery
