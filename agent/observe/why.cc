#include "observe/why.h"

#include <fmt/format.h>

#include <array>
#include <utility>

#include "core/escape.h"
#include "observe/log_format.h"
#include "observe/record_json.h"

namespace mooring::observe {

void FlightRecorder::add(std::unique_ptr<const AccessRecord> record) noexcept {
  while (!incoming_.push(record))
    (void)incoming_.pop();
}

std::vector<const AccessRecord*> FlightRecorder::recent() {
  while (auto record = incoming_.pop()) {
    kept_.push_back(std::move(*record));
    if (kept_.size() > kRecords) kept_.pop_front();
  }
  std::vector<const AccessRecord*> out;
  out.reserve(kept_.size());
  for (auto record = kept_.rbegin(); record != kept_.rend(); ++record)
    out.push_back(record->get());
  return out;
}

namespace {

std::string identity(const std::string& value) {
  return escape_peer_text(value, 2048);
}

/// "spiffe://td/web (10.0.0.1:40000)", or what of it is known.
std::string party(const std::string& name, const SocketAddress& address) {
  if (address.port == 0) return name.empty() ? "unknown" : name;
  return name.empty() ? address.to_string() : fmt::format("{} ({})", name, address.to_string());
}

/// The address that matters for the reason: where we tried to connect, else what the client
/// dialled.
SocketAddress destination(const AccessRecord& record) {
  return record.upstream_remote.port != 0 ? record.upstream_remote : record.downstream_local;
}

std::string peer(const AccessRecord& record) {
  if (!record.peer_identity.empty()) return identity(record.peer_identity);
  const SocketAddress& address =
      record.direction == Direction::inbound ? record.downstream_remote : destination(record);
  return address.port == 0 ? "the peer" : "the peer at " + address.to_string();
}

std::string service(const AccessRecord& record) {
  const char* kind = record.direction == Direction::inbound ? "service" : "upstream";
  if (!record.listener.empty())
    return fmt::format("{} {}", kind, escape_peer_text(record.listener));
  return fmt::format("the {} connection", to_string(record.direction));
}

std::string rule(const AccessRecord& record) {
  return record.rule.empty()
             ? "no allow rule matches it"
             : fmt::format("the rule \"{}\" decided so", escape_peer_text(record.rule));
}

std::string fill(std::string_view sentence, const AccessRecord& record) {
  const std::array<std::pair<std::string_view, std::string>, 6> facts{{
      {"{peer}", peer(record)},
      {"{self}", record.local_identity.empty() ? "none" : identity(record.local_identity)},
      {"{name}", service(record)},
      {"{destination}",
       destination(record).port == 0 ? "the destination" : destination(record).to_string()},
      {"{rule}", rule(record)},
      {"{detail}",
       record.detail.empty() ? "" : fmt::format(" ({})", escape_peer_text(record.detail))},
  }};
  std::string out;
  while (!sentence.empty()) {
    const auto* found = facts.begin();
    while (found != facts.end() && !sentence.starts_with(found->first))
      ++found;
    if (found == facts.end()) {
      out += sentence.front();
      sentence.remove_prefix(1);
    } else {
      out += found->second;
      sentence.remove_prefix(found->first.size());
    }
  }
  if (!out.empty() && out[0] >= 'a' && out[0] <= 'z' && !out.starts_with("spiffe:")) {
    out[0] = static_cast<char>(out[0] - 'a' + 'A');
  }
  return out;
}

}  // namespace

Explanation explain(const AccessRecord& record) {
  const bool inbound = record.direction == Direction::inbound;
  const std::string caller = identity(inbound ? record.peer_identity : record.local_identity);
  return Explanation{
      .time = format_time(record.start),
      .who = party(caller, record.downstream_remote),
      .whom = party(service(record), record.downstream_local),
      .reason = to_string(record.reason),
      .cause = fill(cause(record.reason), record),
      .remedy = fill(remedy(record.reason), record),
  };
}

std::string render_why_text(const std::vector<const AccessRecord*>& records) {
  if (records.empty()) return "No connection was refused or broken since the agent started.\n";
  std::string out;
  for (const AccessRecord* record : records) {
    const Explanation e = explain(*record);
    out += fmt::format("{}  {}  #{}\n  {} -> {}\n  {}\n  What to do: {}\n\n",
                       e.time,
                       e.reason,
                       record->id,
                       e.who,
                       e.whom,
                       e.cause,
                       e.remedy);
  }
  out.pop_back();
  return out;
}

std::string render_why_json(const std::vector<const AccessRecord*>& records) {
  nlohmann::ordered_json out = nlohmann::ordered_json::array();
  for (const AccessRecord* record : records) {
    const Explanation e = explain(*record);
    nlohmann::ordered_json entry = to_json(*record);
    entry["who"] = e.who;
    entry["whom"] = e.whom;
    entry["cause"] = e.cause;
    entry["remedy"] = e.remedy;
    out.push_back(std::move(entry));
  }
  return dump(out) + "\n";
}

}  // namespace mooring::observe
