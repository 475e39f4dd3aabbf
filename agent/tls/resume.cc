#include "tls/resume.h"

#include <cstring>
#include <vector>

#include "core/spiffe_text.h"

namespace mooring::tls {

namespace {

// Layout: this, then the SPIFFE ID. Times are ticks of WallTime: whoever reads a ticket is of the
// process that wrote it.
constexpr std::uint8_t kVersion = 1;
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
  std::array<char, sizeof fixed + kMaxSpiffeIdBytes> bytes{};
  const std::string& id = facts.peer->spiffe_id;
  AGENT_CHECK(id.size() <= kMaxSpiffeIdBytes);
  std::memcpy(bytes.data(), &fixed, sizeof fixed);
  std::memcpy(bytes.data() + sizeof fixed, id.data(), id.size());
  return SSL_SESSION_set1_ticket_appdata(&session, bytes.data(), sizeof fixed + id.size()) == 1;
}

std::optional<ResumeFacts> get_facts(SSL_SESSION& session) {
  void* data = nullptr;
  std::size_t bytes = 0;
  Fixed fixed;
  if (SSL_SESSION_get0_ticket_appdata(&session, &data, &bytes) != 1 || bytes <= sizeof fixed)
    return std::nullopt;
  std::memcpy(&fixed, data, sizeof fixed);
  if (fixed.version != kVersion) return std::nullopt;
  PeerFacts peer{std::string(static_cast<const char*>(data) + sizeof fixed, bytes - sizeof fixed),
                 fixed.anchor,
                 to_time(fixed.not_after)};
  return ResumeFacts{std::make_shared<const PeerFacts>(std::move(peer)), to_time(fixed.until)};
}

bool may_resume(const ResumeFacts& facts, const identity::Trusted& trusted, WallTime now) {
  return now < facts.until && trusted.contains(facts.peer->spiffe_id, facts.peer->anchor);
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
