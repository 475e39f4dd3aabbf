#include "app/name_watch.h"

#include <algorithm>
#include <utility>

#include "core/log.h"

namespace mooring::app {

namespace {

constexpr Milliseconds kRefresh{30000};

}  // namespace

void SeenAddresses::add(const std::vector<IpAddress>& answer, MonoTime now) {
  for (const IpAddress& address : answer)
    last_seen_[address] = now;
  std::erase_if(last_seen_,
                [&](const auto& entry) { return now - entry.second >= NameWatch::kKeep; });
  const auto by_time = [](const auto& a, const auto& b) { return a.second < b.second; };
  while (last_seen_.size() > NameWatch::kMaxAddresses)
    last_seen_.erase(std::min_element(last_seen_.begin(), last_seen_.end(), by_time));
}

std::vector<IpAddress> SeenAddresses::known() const {
  std::vector<IpAddress> addresses;
  addresses.reserve(last_seen_.size());
  for (const auto& [address, when] : last_seen_)
    addresses.push_back(address);
  return addresses;
}

NameWatch::NameWatch(Loop& loop, std::function<void()> on_change)
    : loop_(loop), on_change_(std::move(on_change)), refresh_(loop, [this] { look_up_all(); }) {}

void NameWatch::set_names(const std::vector<std::string>& names) {
  wanted_ = names;
  const auto is_gone = [this](const auto& entry) {
    return std::find(wanted_.begin(), wanted_.end(), entry.first) == wanted_.end();
  };
  std::erase_if(resolved_, is_gone);
  std::erase_if(seen_, is_gone);
  std::erase_if(pending_, is_gone);
  for (const std::string& name : wanted_) {
    if (!resolved_.contains(name)) look_up(name);
  }
  if (wanted_.empty()) {
    refresh_.stop();
  } else {
    refresh_.start(kRefresh, kRefresh);
  }
}

void NameWatch::wait_for_first(Milliseconds limit) {
  if (pending_.empty()) return;
  is_waiting_ = true;
  Timer deadline(loop_, [this] { loop_.stop(); });
  deadline.start(limit);
  loop_.run();
  is_waiting_ = false;
}

void NameWatch::look_up_all() {
  for (const std::string& name : wanted_)
    look_up(name);
}

void NameWatch::look_up(const std::string& name) {
  if (pending_.contains(name)) return;
  pending_[name] = std::make_unique<net::Lookup>(
      loop_, name, [this, name](const std::vector<IpAddress>& addresses) {
        on_answer(name, addresses);
      });
}

void NameWatch::on_answer(const std::string& name, const std::vector<IpAddress>& addresses) {
  pending_.erase(name);
  std::vector<IpAddress>& known = resolved_[name];
  if (addresses.empty()) {
    // The last known addresses serve on: a name server that is away should not end what works.
    if (known.empty()) log::warn("host name {} has no address", name);
  } else {
    SeenAddresses& seen = seen_[name];
    seen.add(addresses, Clock().mono());
    std::vector<IpAddress> now_known = seen.known();
    if (now_known != known) {
      known = std::move(now_known);
      if (!is_waiting_) on_change_();
    }
  }
  if (is_waiting_ && pending_.empty()) loop_.stop();
}

std::vector<IpAddress> resolve_now(const std::string& host_name) {
  Loop loop;
  std::vector<IpAddress> found;
  const net::Lookup lookup(loop, host_name, [&found](std::vector<IpAddress> addresses) {
    found = std::move(addresses);
  });
  loop.run();
  return found;
}

}  // namespace mooring::app
