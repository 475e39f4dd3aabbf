#include "app/name_watch.h"

#include <algorithm>
#include <utility>

#include "core/log.h"

namespace mooring::app {

namespace {

constexpr Milliseconds kRefresh{30000};

}  // namespace

NameWatch::NameWatch(Loop& loop, std::function<void()> on_change)
    : loop_(loop), on_change_(std::move(on_change)), refresh_(loop, [this] { look_up_all(); }) {}

void NameWatch::set_names(const std::vector<std::string>& names) {
  wanted_ = names;
  const auto is_gone = [this](const auto& entry) {
    return std::find(wanted_.begin(), wanted_.end(), entry.first) == wanted_.end();
  };
  std::erase_if(resolved_, is_gone);
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
  pending_[name] =
      std::make_unique<net::Lookup>(loop_, name, [this, name](std::vector<IpAddress> addresses) {
        on_answer(name, std::move(addresses));
      });
}

void NameWatch::on_answer(const std::string& name, std::vector<IpAddress> addresses) {
  pending_.erase(name);
  // A resolver that rotates its answers changes nothing.
  std::sort(addresses.begin(), addresses.end());
  std::vector<IpAddress>& known = resolved_[name];
  if (addresses.empty()) {
    // The last known addresses serve on: a name server that is away should not end what works.
    if (known.empty()) log::warn("host name {} has no address", name);
  } else if (known != addresses) {
    known = std::move(addresses);
    if (!is_waiting_) on_change_();
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
