#include "app/sink_hosts.h"

#include <optional>
#include <utility>
#include <vector>

namespace mooring::app {

namespace {

constexpr Milliseconds kLookEvery{1000};

}  // namespace

SinkHosts::SinkHosts(Loop& loop, observe::AccessLog& access_log)
    : loop_(loop), access_log_(access_log), timer_(loop, [this] { look(); }) {
  timer_.start(kLookEvery, kLookEvery);
}

void SinkHosts::look() {
  std::erase_if(pending_, [](const auto& each) { return each.second == nullptr; });
  while (const auto name = access_log_.next_wanted_host()) {
    if (pending_.contains(*name)) continue;
    auto& lookup = pending_[*name];
    lookup = std::make_unique<net::Lookup>(
        loop_, *name, [this, name = *name](const std::vector<IpAddress>& found) {
          access_log_.tell({name, found.empty() ? std::nullopt : std::optional(found.front())});
          pending_[name] = nullptr;
        });
  }
}

}  // namespace mooring::app
