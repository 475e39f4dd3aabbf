#include "config/overlap.h"

#include <algorithm>
#include <map>
#include <set>
#include <string_view>
#include <tuple>
#include <utility>

namespace mooring::config {

namespace {

struct Claim {
  std::uint16_t port;
  IpPrefix prefix;
  std::size_t upstream;

  friend auto operator<=>(const Claim& a, const Claim& b) = default;
};

class Finder {
 public:
  explicit Finder(const std::vector<Upstream>& upstreams) {
    for (std::size_t index = 0; index < upstreams.size(); ++index) {
      for (const Destination& destination : upstreams[index].addresses) {
        for (const std::uint16_t port : upstreams[index].ports)
          claim(index, destination, port);
      }
    }
  }

  std::vector<Overlap> find() {
    // Two blocks are nested or disjoint, and sorted by base and length a block comes before all
    // that it contains: what is open around the current block is a stack.
    std::sort(claims_.begin(), claims_.end());
    std::vector<const Claim*> open;
    for (const Claim& claim : claims_) {
      if (overlaps_.size() >= kMost) break;
      while (!open.empty() && !contains(*open.back(), claim))
        open.pop_back();
      for (const Claim* outer : open)
        add(outer->upstream, claim.upstream, claim.prefix.to_string(), claim.port);
      // An upstream may repeat itself; one entry of it is enough, and keeps the stack short.
      const bool is_repeated = std::any_of(open.begin(), open.end(), [&](const Claim* outer) {
        return outer->upstream == claim.upstream;
      });
      if (!is_repeated) open.push_back(&claim);
    }
    return std::move(overlaps_);
  }

 private:
  void claim(std::size_t index, const Destination& destination, std::uint16_t port) {
    if (destination.prefix) {
      claims_.push_back({port, *destination.prefix, index});
      return;
    }
    const auto [before, is_new] = names_.try_emplace({destination.host_name, port}, index);
    if (!is_new) add(before->second, index, destination.host_name, port);
  }

  static bool contains(const Claim& outer, const Claim& inner) {
    return outer.port == inner.port && outer.prefix.length <= inner.prefix.length &&
           outer.prefix.overlaps(inner.prefix);
  }

  void add(std::size_t a, std::size_t b, std::string destination, std::uint16_t port) {
    if (a == b || overlaps_.size() >= kMost) return;
    if (!seen_.insert(std::minmax(a, b)).second) return;
    overlaps_.push_back({std::min(a, b), std::max(a, b), std::move(destination), port});
  }

  static constexpr std::size_t kMost = 1000;  // far more than are shown
  std::vector<Claim> claims_;
  std::map<std::pair<std::string, std::uint16_t>, std::size_t> names_;
  std::set<std::pair<std::size_t, std::size_t>> seen_;
  std::vector<Overlap> overlaps_;
};

}  // namespace

std::vector<Overlap> find_overlaps(const std::vector<Upstream>& upstreams) {
  return Finder(upstreams).find();
}

}  // namespace mooring::config
