#include "app/sink_hosts.h"

#include <cstddef>
#include <optional>
#include <utility>
#include <vector>

namespace mooring::app {

namespace {

constexpr Milliseconds kLookEvery{1000};
constexpr std::size_t kMaxTurns = 256;

}  // namespace

SinkHosts::SinkHosts(Loop& loop, observe::AccessLog& access_log)
    : loop_(loop), access_log_(access_log), timer_(loop, [this] { look(); }) {
  timer_.start(kLookEvery, kLookEvery);
}

void SinkHosts::look() {
  std::erase_if(pending_, [](const auto& each) { return each.second == nullptr; });
  if (turns_.size() > kMaxTurns) turns_.clear();
  while (const auto name = access_log_.next_wanted_host()) {
    if (pending_.contains(*name)) continue;
    auto& lookup = pending_[*name];
    lookup = std::make_unique<net::Lookup>(
        loop_, *name, [this, name = *name](const std::vector<IpAddress>& found) {
          pending_[name] = nullptr;
          if (found.empty()) return access_log_.tell({name, std::nullopt});
          // One that does not take the connection is not asked for again at once.
          access_log_.tell({name, found[turns_[name]++ % found.size()]});
        });
  }
}

}  // namespace mooring::app
