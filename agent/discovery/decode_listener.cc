// Listener: envoy.config.listener.v3.
#include <algorithm>
#include <set>
#include <tuple>

#include "core/ascii.h"
#include "discovery/decode_parts.h"

namespace mooring::discovery {

namespace {

constexpr int kMaxChains = 10'000;  // of a zone ingress: one a service
constexpr int kMaxMatches = 1024;   // of a kind, in a chain
constexpr int kMaxListenerFilters = 16;
constexpr std::size_t kMaxLeaves = 100'000;  // combinations of what all chains match

constexpr std::string_view kOriginalDst =
    "envoy.extensions.filters.listener.original_dst.v3.OriginalDst";
constexpr std::string_view kTlsInspector =
    "envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector";
constexpr std::string_view kHttpInspector =
    "envoy.extensions.filters.listener.http_inspector.v3.HttpInspector";

void decode_listener_filters(Reader& reader,
                             const listener_v3::Listener& message,
                             snapshot::Listener& out) {
  if (!reader.within("listener_filters", message.listener_filters_size(), kMaxListenerFilters))
    return;
  for (int i = 0; i < message.listener_filters_size(); ++i) {
    const listener_v3::ListenerFilter& filter = message.listener_filters(i);
    const In in(reader, "listener_filters", i, filter);
    const std::string_view type = type_name(filter.typed_config());
    if (type == kTlsInspector) {
      out.tls_inspector = true;
    } else if (type == kHttpInspector) {
      out.http_inspector = true;
    } else if (type != kOriginalDst) {
      reader.reject("typed_config", "is a listener filter that this agent does not have");
    }
    const In config(reader, "typed_config", filter.typed_config());
    reader.check_unknown(type, filter.typed_config().value());
  }
}

template <class Texts>
std::vector<std::string> decode_texts(Reader& reader, std::string_view field, const Texts& texts) {
  std::vector<std::string> out;
  if (!reader.within(field, texts.size(), kMaxMatches)) return out;
  for (const std::string& text : texts)
    out.push_back(read_name(reader, field, text));
  return out;
}

/// As Envoy: whole names, or "*." and a suffix.
void decode_server_names(Reader& reader,
                         const listener_v3::FilterChainMatch& message,
                         snapshot::FilterChainMatch& out) {
  out.server_names = decode_texts(reader, "server_names", message.server_names());
  for (std::string& name : out.server_names) {
    name = lower_ascii(std::move(name));
    const std::size_t star = name.rfind('*');
    if (star != std::string::npos && !(star == 0 && name.starts_with("*.") && name.size() > 2))
      reader.reject("server_names", "has a wildcard that is not its first label");
  }
}

snapshot::FilterChainMatch decode_match(Reader& reader,
                                        const listener_v3::FilterChainMatch& message) {
  snapshot::FilterChainMatch out;
  const In in(reader, "filter_chain_match", message);
  if (message.has_destination_port()) {
    out.destination_port = static_cast<std::uint16_t>(
        read_u32(reader, "destination_port", message.destination_port(), 1, 65535));
  }
  if (reader.within("prefix_ranges", message.prefix_ranges_size(), kMaxMatches)) {
    for (int i = 0; i < message.prefix_ranges_size(); ++i) {
      out.prefix_ranges.push_back(read_prefix(
          reader, "prefix_ranges[" + std::to_string(i) + "]", message.prefix_ranges(i)));
    }
  }
  decode_server_names(reader, message, out);
  out.transport_protocol = message.transport_protocol();
  if (!out.transport_protocol.empty() && out.transport_protocol != "tls" &&
      out.transport_protocol != "raw_buffer")
    reader.reject("transport_protocol", "is neither tls nor raw_buffer");
  out.application_protocols =
      decode_texts(reader, "application_protocols", message.application_protocols());
  return out;
}

template <class Values>
Values or_any(Values values) {
  if (values.empty()) values.emplace_back();
  return values;
}

/// As Envoy, no listener whose chains could not be told apart.
class ChainMatches {
 public:
  void add(Reader& reader, const snapshot::FilterChainMatch& match) {
    for (const IpPrefix& prefix : or_any(match.prefix_ranges)) {
      for (const std::string& name : or_any(match.server_names)) {
        for (const std::string& protocol : or_any(match.application_protocols)) {
          const bool is_new = known_
                                  .insert({match.destination_port,
                                           prefix,
                                           !match.prefix_ranges.empty(),
                                           name,
                                           match.transport_protocol,
                                           protocol})
                                  .second;
          if (!is_new) return reader.reject("filter_chain_match", "is that of another chain, too");
          if (known_.size() > kMaxLeaves)
            return reader.reject("filter_chain_match", "has too many combinations");
        }
      }
    }
  }

 private:
  using Leaf = std::tuple<std::uint16_t, IpPrefix, bool, std::string, std::string, std::string>;
  std::set<Leaf> known_;
};

void decode_chain(Reader& reader,
                  const listener_v3::FilterChain& message,
                  TlsScope scope,
                  snapshot::Listener& out) {
  snapshot::FilterChain chain;
  chain.name = read_text(reader, "name", message.name());
  if (message.has_filter_chain_match())
    chain.match = decode_match(reader, message.filter_chain_match());
  if (message.has_transport_socket()) {
    const In in(reader, "transport_socket", message.transport_socket());
    chain.tls = decode_downstream_socket(reader, message.transport_socket(), scope);
  }
  decode_filters(reader, message, chain);
  out.chains.push_back(std::move(chain));
}

/// Captured connections where it has no socket, or, as Kuma's passthrough listeners, one that all
/// of a family is redirected to; else an address of its own.
void decode_address(Reader& reader, const listener_v3::Listener& message, snapshot::Listener& out) {
  const In in(reader, "address", message.address());
  if (!message.address().has_socket_address()) {
    reader.reject("", "is no socket address");
    return;
  }
  const auto address =
      read_socket_address(reader, "socket_address", message.address().socket_address());
  if (!address) return;
  if (address->port == 0) reader.reject("socket_address.port_value", "is 0");
  const bool is_bound = !message.has_bind_to_port() || message.bind_to_port().value();
  const auto whole = static_cast<std::uint8_t>(address->ip.is_v4() ? 32 : 128);
  const std::uint8_t length = address->ip.is_unspecified() ? 0 : whole;
  const bool uses_original_dst = message.use_original_dst().value();
  if (!is_bound) {
    out.match.push_back({IpPrefix{address->ip, length}, address->port});
  } else if (uses_original_dst && length == 0) {
    out.match.push_back({IpPrefix{address->ip, 0}, 0});
  } else if (uses_original_dst) {
    reader.reject("", "is one of this host, and use_original_dst is for all of them");
  } else {
    out.bind = *address;
  }
}

/// An inbound listener that takes plain bytes beside mutual TLS: its server may speak first.
bool is_permissive(const snapshot::Listener& listener) {
  const auto has_tls = [](const snapshot::FilterChain& chain) { return chain.tls.has_value(); };
  return listener.direction == snapshot::Direction::inbound && listener.tls_inspector &&
         std::any_of(listener.chains.begin(), listener.chains.end(), has_tls) &&
         !std::all_of(listener.chains.begin(), listener.chains.end(), has_tls);
}

}  // namespace

snapshot::Listener decode_listener(Reader& reader,
                                   const listener_v3::Listener& message,
                                   std::vector<snapshot::Secret>& secrets) {
  snapshot::Listener out;
  const In in(reader, "", message);
  out.name = read_resource_name(reader, "name", message.name());
  if (message.traffic_direction() == core_v3::INBOUND) out.direction = snapshot::Direction::inbound;
  if (message.has_bind_to_port()) (void)read_bool(reader, "bind_to_port", message.bind_to_port());
  if (message.has_use_original_dst())
    (void)read_bool(reader, "use_original_dst", message.use_original_dst());
  decode_address(reader, message, out);
  decode_listener_filters(reader, message, out);
  if (message.filter_chains_size() == 0) reader.reject("filter_chains", "is empty");
  if (!reader.within("filter_chains", message.filter_chains_size(), kMaxChains)) return out;
  const TlsScope scope{out.name, secrets};
  ChainMatches matches;
  for (int i = 0; i < message.filter_chains_size() && reader.ok(); ++i) {
    const In chain(reader, "filter_chains", i, message.filter_chains(i));
    decode_chain(reader, message.filter_chains(i), scope, out);
    matches.add(reader, out.chains.back().match);
  }
  out.server_first = is_permissive(out);
  return out;
}

}  // namespace mooring::discovery
