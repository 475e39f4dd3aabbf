#include "tls/resume.h"

#include <cstring>
#include <string>

namespace mooring::tls {

namespace {

// Layout: this, then the names as they are packed. Times are ticks of WallTime: whoever reads a
// ticket is of the process that wrote it.
constexpr std::uint8_t kVersion = 2;
struct Fixed {
  std::uint8_t version = kVersion;
  identity::Fingerprint anchor{};
  std::array<std::uint8_t, sizeof(std::int64_t)> not_after{};
  std::array<std::uint8_t, sizeof(std::int64_t)> until{};
};
static_assert(sizeof(Fixed) == 1 + 32 + 8 + 8 && std::is_trivially_copyable_v<Fixed>);

std::array<std::uint8_t, sizeof(std::int64_t)> to_bytes(WallTime time) noexcept {
  std::array<std::uint8_t, sizeof(std::int64_t)> bytes{};
  const std::int64_t ticks = time.time_since_epoch().count();
  std::memcpy(bytes.data(), &ticks, sizeof ticks);
  return bytes;
}

WallTime to_time(const std::array<std::uint8_t, sizeof(std::int64_t)>& bytes) noexcept {
  std::int64_t ticks = 0;
  std::memcpy(&ticks, bytes.data(), sizeof ticks);
  return WallTime(WallTime::duration(ticks));
}

}  // namespace

bool put_facts(SSL_SESSION& session, const ResumeFacts& facts) {
  const Fixed fixed{
      kVersion, facts.peer->anchor, to_bytes(facts.peer->not_after), to_bytes(facts.until)};
  const std::string& names = facts.peer->names.packed();
  if (names.size() > kMaxTicketNames) return false;
  std::string bytes(sizeof fixed, '\0');
  std::memcpy(bytes.data(), &fixed, sizeof fixed);
  bytes += names;
  return SSL_SESSION_set1_ticket_appdata(&session, bytes.data(), bytes.size()) == 1;
}

std::optional<ResumeFacts> get_facts(SSL_SESSION& session) {
  void* data = nullptr;
  std::size_t bytes = 0;
  Fixed fixed;
  if (SSL_SESSION_get0_ticket_appdata(&session, &data, &bytes) != 1 || bytes < sizeof fixed)
    return std::nullopt;
  std::memcpy(&fixed, data, sizeof fixed);
  if (fixed.version != kVersion) return std::nullopt;
  auto names = identity::Names::unpack(
      {static_cast<const char*>(data) + sizeof fixed, bytes - sizeof fixed});
  if (!names) return std::nullopt;
  PeerFacts peer{std::move(*names), fixed.anchor, to_time(fixed.not_after)};
  return ResumeFacts{std::make_shared<const PeerFacts>(std::move(peer)), to_time(fixed.until)};
}

bool may_resume(const ResumeFacts& facts, const identity::Trusted& trusted, WallTime now) {
  return now < facts.until && trusted.contains(facts.peer->names.spiffe_id(), facts.peer->anchor);
}

std::shared_ptr<ResumeSlot> ClientSessions::slot(std::string_view key) {
  if (const auto found = by_key_.find(key); found != by_key_.end()) {
    order_.splice(order_.begin(), order_, found->second);
    return order_.front().slot;
  }
  if (order_.size() == kMaxKeys) {
    by_key_.erase(order_.back().key);
    order_.pop_back();
  }
  order_.push_front({std::string(key), std::make_shared<ResumeSlot>()});
  by_key_.emplace(order_.front().key, order_.begin());
  return order_.front().slot;
}

}  // namespace mooring::tls
