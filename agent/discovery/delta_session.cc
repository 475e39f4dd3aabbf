#include "discovery/delta_session.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "core/escape.h"

namespace mooring::discovery {

namespace {

// For a person who reads the control plane's log: the first ones say what is wrong.
constexpr std::size_t kMaxDescribed = 10;
constexpr std::size_t kMaxPart = 256;
constexpr std::size_t kMaxText = 4000;

}  // namespace

std::string describe_rejected(std::span<const RejectedResource> rejected) {
  std::string text;
  for (const RejectedResource& each : rejected.first(std::min(rejected.size(), kMaxDescribed))) {
    if (!text.empty()) text += "; ";
    text += fmt::format("{} {}: ", to_string(each.kind), escape_peer_text(each.name, kMaxPart));
    if (!each.field.empty()) text += escape_peer_text(each.field, kMaxPart) + ": ";
    text += escape_peer_text(each.reason, kMaxPart);
  }
  if (text.size() > kMaxText) text.replace(kMaxText, std::string::npos, "...");
  if (rejected.size() > kMaxDescribed)
    text += fmt::format("; and {} more", rejected.size() - kMaxDescribed);
  return text;
}

void DeltaSession::start() {
  ask_all(ResourceKind::cluster);
}

void DeltaSession::ask_listeners() {
  if (!has_asked(ResourceKind::listener)) ask_all(ResourceKind::listener);
}

void DeltaSession::ask_all(ResourceKind kind) {
  of(kind).is_asked = true;
  out_.push_back({.has_node = !std::exchange(has_sent_node_, true),
                  .type_url = std::string(type_url(kind)),
                  .initial_versions = known_(kind)});
}

void DeltaSession::want(ResourceKind kind, const std::set<std::string>& names) {
  Subscription& subscription = of(kind);
  DeltaRequest request{.type_url = std::string(type_url(kind))};
  for (const std::string& name : names) {
    if (is_resource_name(name) && !subscription.names.contains(name))
      request.subscribe.push_back(name);
  }
  for (const std::string& name : subscription.names)
    if (!names.contains(name)) request.unsubscribe.push_back(name);
  // No names in the first request of a kind would ask for all.
  if (request.subscribe.empty() && request.unsubscribe.empty()) return;
  for (const std::string& name : request.unsubscribe)
    subscription.names.erase(name);
  subscription.names.insert(request.subscribe.begin(), request.subscribe.end());
  if (!std::exchange(subscription.is_asked, true)) {
    request.initial_versions = known_(kind);
    std::erase_if(request.initial_versions,
                  [&](const auto& each) { return !subscription.names.contains(each.first); });
  }
  out_.push_back(std::move(request));
}

bool DeltaSession::wants(ResourceKind kind, const std::string& name) const {
  const bool is_all = kind == ResourceKind::cluster || kind == ResourceKind::listener;
  return is_all || of(kind).names.contains(name);
}

std::optional<ResourceKind> DeltaSession::on_response(const DeltaResponse& response) {
  const auto kind = kind_of(response.type_url);
  if (kind && has_asked(*kind)) {
    of(*kind).is_answered = true;
    return kind;
  }
  out_.push_back({.type_url = response.type_url,
                  .nonce = response.nonce,
                  .error = "nobody asked for resources of this type"});
  return std::nullopt;
}

void DeltaSession::answer(ResourceKind kind,
                          const std::string& nonce,
                          std::span<const RejectedResource> rejected) {
  out_.push_back({.type_url = std::string(type_url(kind)),
                  .nonce = nonce,
                  .error = describe_rejected(rejected)});
}

std::vector<DeltaRequest> DeltaSession::take() {
  return std::exchange(out_, {});
}

}  // namespace mooring::discovery
