#include "discovery/explain.h"

#include <algorithm>

#include <fmt/format.h>

#include "core/escape.h"
#include "discovery/decode.h"
#include "xdsapi/discovery.pb.h"

namespace mooring::discovery {

namespace {

namespace discovery_v3 = envoy::service::discovery::v3;

constexpr std::size_t kMaxLine = 2048;

struct Item {
  std::string type_url;
  std::string name;
  std::string bytes;
};

// ---- what the bytes are

std::optional<std::vector<Item>> items_of_delta(std::string_view bytes) {
  discovery_v3::DeltaDiscoveryResponse response;
  if (!response.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) return std::nullopt;
  if (!kind_of(response.type_url())) return std::nullopt;
  std::vector<Item> out;
  for (const auto& resource : response.resources()) {
    if (resource.name().empty()) return std::nullopt;
    out.push_back({resource.resource().type_url(), resource.name(), resource.resource().value()});
  }
  return out;
}

std::optional<std::vector<Item>> items_of_all(std::string_view bytes) {
  discovery_v3::DiscoveryResponse response;
  if (!response.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) return std::nullopt;
  if (!kind_of(response.type_url())) return std::nullopt;
  std::vector<Item> out;
  for (const auto& resource : response.resources())
    out.push_back({resource.type_url(), "", resource.value()});
  return out;
}

std::optional<std::vector<Item>> item_of_one(std::string_view bytes) {
  discovery_v3::Resource resource;
  google::protobuf::Any any;
  const int size = static_cast<int>(bytes.size());
  if (resource.ParseFromArray(bytes.data(), size) && kind_of(resource.resource().type_url())) {
    return {{{resource.resource().type_url(), resource.name(), resource.resource().value()}}};
  }
  if (any.ParseFromArray(bytes.data(), size) && kind_of(any.type_url()))
    return {{{any.type_url(), "", any.value()}}};
  return std::nullopt;
}

// ---- what is understood, a line each

using Lines = std::vector<std::string>;

std::string of_tls(const std::optional<snapshot::TlsContext>& tls) {
  if (!tls) return "no TLS";
  return fmt::format("TLS with certificate {}, {}{}",
                     tls->certificate.empty() ? "none" : tls->certificate,
                     tls->validation.empty() ? "the peer is not verified"
                                             : "the peer verified by " + tls->validation,
                     tls->sni.empty() ? "" : ", SNI " + tls->sni);
}

std::string of_match(const snapshot::FilterChainMatch& match) {
  std::string out;
  const auto add = [&out](std::string_view what, const std::string& value) {
    if (!value.empty()) out += fmt::format("{}{} {}", out.empty() ? "for " : ", ", what, value);
  };
  add("port", match.destination_port == 0 ? "" : std::to_string(match.destination_port));
  for (const IpPrefix& prefix : match.prefix_ranges)
    add("to", prefix.to_string());
  for (const std::string& name : match.server_names)
    add("server name", name);
  add("transport", match.transport_protocol);
  for (const std::string& protocol : match.application_protocols)
    add("protocol", protocol);
  return out.empty() ? "for all" : out;
}

std::string of_chain(const snapshot::FilterChain& chain) {
  if (!chain.not_served.empty()) return of_match(chain.match) + ": refused, " + chain.not_served;
  std::string out = of_match(chain.match) + ": " + of_tls(chain.tls);
  for (const snapshot::Authorization& one : chain.authorization) {
    if (one.rules) {
      out += fmt::format(", {} rules, otherwise {}",
                         one.rules->rules.size(),
                         one.rules->allow_otherwise ? "allowed" : "denied");
    }
    if (one.shadow) out += fmt::format(", {} shadow rules", one.shadow->rules.size());
  }
  for (const snapshot::TokenBucket& limit : chain.rate_limits) {
    out += fmt::format(
        ", {} connections per {} ms", limit.tokens_per_fill, limit.fill_interval.count());
  }
  out += ", to";
  for (const snapshot::WeightedCluster& cluster : chain.clusters)
    out += fmt::format(" {} (weight {})", cluster.name, cluster.weight);
  return out;
}

void add_lines(const snapshot::Listener& listener, Lines& out) {
  const bool is_inbound = listener.direction == snapshot::Direction::inbound;
  std::string where = is_inbound ? "inbound" : "outbound";
  if (listener.bind) where += ", listens on " + listener.bind->to_string();
  for (const snapshot::DestinationMatch& match : listener.match) {
    where += ", captured connections to " + match.prefix.to_string();
    if (match.port != 0) where += fmt::format(" port {}", match.port);
  }
  out.push_back(std::move(where));
  for (const snapshot::FilterChain& chain : listener.chains)
    out.push_back(of_chain(chain));
}

void add_lines(const SystemListener& listener, Lines& out) {
  switch (listener.kind) {
    case SystemListener::Kind::admin:
      out.push_back("the control plane's way to the admin API, by " + of_tls(listener.tls));
      break;
    case SystemListener::Kind::metrics:
      out.push_back("metrics under " + listener.path + ", " + of_tls(listener.tls));
      break;
    case SystemListener::Kind::dynamic_config:
      for (const auto& [path, body] : listener.bodies)
        out.push_back(fmt::format("configuration {}, {} bytes", path, body.size()));
      break;
  }
}

void add_lines(const snapshot::LoadAssignment& assignment, Lines& out) {
  for (const snapshot::LocalityEndpoints& locality : assignment.localities) {
    out.push_back(fmt::format("{} endpoints of priority {} in zone '{}'",
                              locality.endpoints.size(),
                              locality.priority,
                              locality.zone));
  }
}

std::string_view name_of_type(snapshot::Cluster::Type type) {
  switch (type) {
    case snapshot::Cluster::Type::static_list:
      return "endpoints as listed";
    case snapshot::Cluster::Type::eds:
      return "endpoints by discovery";
    case snapshot::Cluster::Type::strict_dns:
      return "endpoints by name";
    case snapshot::Cluster::Type::original_dst:
      return "where the connection was meant to go";
  }
  return "";
}

void add_lines(const snapshot::Cluster& cluster, Lines& out) {
  out.push_back(fmt::format("{}, {}", name_of_type(cluster.type), of_tls(cluster.tls)));
  add_lines(cluster.endpoints, out);
  if (!cluster.health_checks.empty())
    out.push_back(fmt::format("{} health checks", cluster.health_checks.size()));
  if (cluster.outlier_detection) out.emplace_back("outlier detection");
}

void add_lines(const PipeCluster& cluster, Lines& out) {
  out.push_back("the unix socket " + cluster.path);
}

void add_lines(const snapshot::Secret& secret, Lines& out) {
  if (std::holds_alternative<snapshot::TlsCertificate>(secret.value)) {
    out.emplace_back("a certificate and its key");
  } else if (std::holds_alternative<snapshot::TrustedCa>(secret.value)) {
    out.emplace_back("trust anchors");
  } else {
    for (const auto& [domain, pem] :
         std::get<snapshot::SpiffeBundles>(secret.value).pem_by_trust_domain)
      out.push_back("trust anchors of " + domain);
  }
}

void append(std::string& out, std::string_view indent, std::string_view line) {
  out += fmt::format("{}{}\n", indent, escape_peer_text(line, kMaxLine));
}

void explain_item(const Item& item, Explanation& out) {
  std::vector<Note> ignored;
  const DecodeResult result = decode(item.type_url, item.name, item.bytes, &ignored);
  if (!result) {
    out.has_rejected = true;
    append(out.text, "", describe(result.error()));
    append(out.text, "  ", "rejected");
    return;
  }
  Lines lines;
  std::visit([&](const auto& resource) { add_lines(resource, lines); }, result->resource);
  append(out.text, "", name_of(*result));
  for (const std::string& line : lines)
    append(out.text, "  ", line);
  for (const Note& note : result->warnings)
    append(out.text, "  not done: ", note.field + ": " + note.text);
  for (const Note& note : ignored)
    append(out.text, "  no matter: ", note.field + ": " + note.text);
}

}  // namespace

Checked<Explanation> explain(std::string_view bytes) {
  auto items = items_of_delta(bytes);
  if (!items) items = items_of_all(bytes);
  if (!items) items = item_of_one(bytes);
  if (!items) {
    return fail(
        Diagnostic{"",
                   "holds no xDS that this agent knows",
                   "a DeltaDiscoveryResponse, DiscoveryResponse, Resource or Any, serialized"});
  }
  Explanation out;
  for (const Item& item : *items)
    explain_item(item, out);
  return out;
}

}  // namespace mooring::discovery
