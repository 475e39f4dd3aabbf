#include "policy/choose_chain.h"

#include <algorithm>
#include <optional>

namespace mooring::policy {

namespace {

using snapshot::FilterChain;
using snapshot::FilterChainMatch;

/// What the first two levels have decided.
struct Addressed {
  std::uint16_t port = 0;
  std::uint8_t prefix_length = 0;
};

int prefix_length(const FilterChainMatch& match, const IpAddress& ip) noexcept {
  if (match.prefix_ranges.empty()) return 0;
  int longest = -1;
  for (const IpPrefix& prefix : match.prefix_ranges) {
    if (prefix.contains(ip)) longest = std::max<int>(longest, prefix.length);
  }
  return longest;
}

// A chain may have several prefixes; it stays when one of them is the one that was decided for.
bool has_prefix(const FilterChainMatch& match, const IpAddress& ip, std::uint8_t length) noexcept {
  if (match.prefix_ranges.empty()) return length == 0;
  return std::any_of(
      match.prefix_ranges.begin(), match.prefix_ranges.end(), [&](const IpPrefix& prefix) {
        return prefix.length == length && prefix.contains(ip);
      });
}

std::optional<Addressed> address(std::span<const FilterChain> chains,
                                 const SocketAddress& destination) noexcept {
  const bool has_port = std::any_of(chains.begin(), chains.end(), [&](const FilterChain& chain) {
    return chain.match.destination_port == destination.port && destination.port != 0;
  });
  Addressed result;
  result.port = has_port ? destination.port : 0;
  int longest = -1;
  for (const FilterChain& chain : chains) {
    if (chain.match.destination_port == result.port)
      longest = std::max(longest, prefix_length(chain.match, destination.ip));
  }
  if (longest < 0) return std::nullopt;
  result.prefix_length = static_cast<std::uint8_t>(longest);
  return result;
}

bool is_addressed(const FilterChainMatch& match,
                  const Addressed& to,
                  const IpAddress& ip) noexcept {
  return match.destination_port == to.port && has_prefix(match, ip, to.prefix_length);
}

// How much of the name it says: 0 for any, the length of a wildcard's suffix, all of it and one
// more for the name itself; -1: it is another one.
int specificity(const std::string& wanted, std::string_view name) noexcept {
  if (wanted == name) return static_cast<int>(name.size()) + 1;
  if (!wanted.starts_with("*.")) return -1;
  const std::string_view suffix = std::string_view(wanted).substr(1);
  return name.size() > suffix.size() && name.ends_with(suffix) ? static_cast<int>(suffix.size())
                                                               : -1;
}

int specificity(const FilterChainMatch& match, std::string_view name) noexcept {
  if (match.server_names.empty()) return 0;
  int most = -1;
  for (const std::string& wanted : match.server_names)
    most = std::max(most, specificity(wanted, name));
  return most;
}

// Likewise of one among several.
bool has_specificity(const FilterChainMatch& match, std::string_view name, int wanted) noexcept {
  if (wanted < 0) return false;
  if (match.server_names.empty()) return wanted == 0;
  return std::any_of(match.server_names.begin(), match.server_names.end(), [&](const auto& text) {
    return specificity(text, name) == wanted;
  });
}

bool offers(const FilterChainMatch& match, std::string_view protocol) noexcept {
  const auto& known = match.application_protocols;
  return std::find(known.begin(), known.end(), protocol) != known.end();
}

/// The chains that the levels so far have left.
class Left {
 public:
  Left(std::span<const FilterChain> chains, const ChainFacts& facts, const Addressed& to) noexcept
      : chains_(chains), facts_(facts), to_(to) {
    for (const FilterChain& chain : chains_) {
      if (is_addressed(chain.match, to_, facts_.destination.ip))
        name_ = std::max(name_, specificity(chain.match, facts_.server_name));
    }
    has_transport_ = find([&](const FilterChainMatch& match) {
                       return match.transport_protocol == facts_.transport_protocol;
                     }) != kNoChain;
  }

  [[nodiscard]] std::size_t find_with_protocol(std::string_view protocol) const noexcept {
    return find([&](const FilterChainMatch& match) {
      return has_transport(match) && offers(match, protocol);
    });
  }
  [[nodiscard]] std::size_t find_without_protocol() const noexcept {
    return find([&](const FilterChainMatch& match) {
      return has_transport(match) && match.application_protocols.empty();
    });
  }

 private:
  template <typename Holds>
  [[nodiscard]] std::size_t find(Holds holds) const noexcept {
    for (std::size_t i = 0; i < chains_.size(); ++i) {
      const FilterChainMatch& match = chains_[i].match;
      if (is_addressed(match, to_, facts_.destination.ip) &&
          has_specificity(match, facts_.server_name, name_) && holds(match))
        return i;
    }
    return kNoChain;
  }
  [[nodiscard]] bool has_transport(const FilterChainMatch& match) const noexcept {
    return has_transport_ ? match.transport_protocol == facts_.transport_protocol
                          : match.transport_protocol.empty();
  }

  std::span<const FilterChain> chains_;
  const ChainFacts& facts_;
  Addressed to_;
  int name_ = -1;
  bool has_transport_ = false;
};

}  // namespace

std::size_t choose_chain(std::span<const FilterChain> chains, const ChainFacts& facts) noexcept {
  const auto to = address(chains, facts.destination);
  if (!to) return kNoChain;
  const Left left(chains, facts, *to);
  for (const std::string& protocol : facts.application_protocols) {
    if (const std::size_t found = left.find_with_protocol(protocol); found != kNoChain)
      return found;
  }
  return left.find_without_protocol();
}

bool needs_first_bytes(std::span<const FilterChain> chains,
                       const SocketAddress& destination) noexcept {
  const auto to = address(chains, destination);
  return to && std::any_of(chains.begin(), chains.end(), [&](const FilterChain& chain) {
           const FilterChainMatch& match = chain.match;
           return is_addressed(match, *to, destination.ip) &&
                  (!match.server_names.empty() || !match.transport_protocol.empty() ||
                   !match.application_protocols.empty());
         });
}

}  // namespace mooring::policy
