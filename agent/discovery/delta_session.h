// One delta ADS stream's requests (xDS protocol, "incremental"; protocol.md §4): who is asked for
// what in which order, and what is answered to a response. Values in, values out: no stream, no
// store.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "discovery/resource.h"

namespace mooring::discovery {

struct DeltaResource {
  std::string name;
  std::string version;
  std::string type_url;  // of the resource itself
  std::string bytes;     // the message of that type
};

/// envoy.service.discovery.v3.DeltaDiscoveryResponse, without what nobody reads.
struct DeltaResponse {
  std::string type_url;
  std::string nonce{};
  std::vector<DeltaResource> resources{};
  std::vector<std::string> removed{};
};

/// envoy.service.discovery.v3.DeltaDiscoveryRequest.
struct DeltaRequest {
  bool has_node = false;
  std::string type_url;
  std::vector<std::string> subscribe{};
  std::vector<std::string> unsubscribe{};
  std::map<std::string, std::string> initial_versions{};
  std::string nonce{};
  std::string error{};  // error_detail's message; empty: an acknowledgement, or no answer at all

  friend bool operator==(const DeltaRequest&, const DeltaRequest&) = default;
};

/// Text of error_detail: names, fields and reasons, of the first ones where they are many. At most
/// 4 KiB of printable ASCII.
[[nodiscard]] std::string describe_rejected(std::span<const RejectedResource> rejected);

/// Lives as long as its stream. The order of a conversation: start(); for each response,
/// on_response(), want() for what the response named, then answer(): so the control plane hears of
/// new names before the acknowledgement, as from Envoy; ask_listeners() once the clusters are warm.
class DeltaSession {
 public:
  using Versions = std::map<std::string, std::string>;

  /// `known`: name and version of what this host has of a kind, asked for once a kind.
  explicit DeltaSession(std::function<Versions(ResourceKind)> known) : known_(std::move(known)) {}

  /// All clusters, in the legacy form of the wildcard (no names); the node goes along.
  void start();
  /// All listeners, in the same way; nothing the second time.
  void ask_listeners();
  /// Exactly these endpoints or secrets. Names that are none (is_resource_name) are left out.
  void want(ResourceKind kind, const std::set<std::string>& names);

  /// Whether the response is to be taken, and as what. One of a kind that nobody asked for is not,
  /// and is answered here. Nonces mean nothing to us: stale, repeated or empty ones are sent back.
  [[nodiscard]] std::optional<ResourceKind> on_response(const DeltaResponse& response);
  void answer(ResourceKind kind,
              const std::string& nonce,
              std::span<const RejectedResource> rejected);

  [[nodiscard]] bool has_asked(ResourceKind kind) const noexcept { return of(kind).is_asked; }
  [[nodiscard]] bool has_answer(ResourceKind kind) const noexcept { return of(kind).is_answered; }
  [[nodiscard]] bool wants(ResourceKind kind, const std::string& name) const;

  /// What is to be sent now, in this order.
  [[nodiscard]] std::vector<DeltaRequest> take();

 private:
  struct Subscription {
    bool is_asked = false;
    bool is_answered = false;
    std::set<std::string> names;  // endpoints and secrets
  };
  [[nodiscard]] const Subscription& of(ResourceKind kind) const noexcept {
    return subscriptions_[static_cast<std::size_t>(kind)];
  }
  Subscription& of(ResourceKind kind) noexcept {
    return subscriptions_[static_cast<std::size_t>(kind)];
  }
  void ask_all(ResourceKind kind);

  std::function<Versions(ResourceKind)> known_;
  std::array<Subscription, kResourceKinds.size()> subscriptions_;
  std::vector<DeltaRequest> out_;
  bool has_sent_node_ = false;
};

}  // namespace mooring::discovery
