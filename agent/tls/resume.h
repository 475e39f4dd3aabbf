// Sessions to resume: what a ticket carries about the peer, and the client's memory of sessions.
#pragma once

#include <cstddef>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "core/clock.h"
#include "tls/openssl.h"
#include "tls/verify.h"

namespace mooring::tls {

/// Longest time after a full handshake that its session may be resumed, whatever the certificates
/// say.
inline constexpr std::chrono::hours kMaxResumption{2};

/// What a resumed handshake knows about the peer, as the full one before it verified it. It is in
/// the ticket, where only we can have written it, and in the client's session.
struct ResumeFacts {
  PeerFactsPtr peer;
  /// kMaxResumption after the full handshake, or the first end of a certificate on either side.
  WallTime until;
};

/// Names that a ticket carries at most, in packed bytes: 40 tags of a Kuma 2.14 service. A peer
/// with more is not resumed.
inline constexpr std::size_t kMaxTicketNames = std::size_t{4} * 1024;

/// Stores the facts in the session. False: they are too large, and the session has none.
[[nodiscard]] bool put_facts(SSL_SESSION& session, const ResumeFacts& facts);
[[nodiscard]] std::optional<ResumeFacts> get_facts(SSL_SESSION& session);

/// Is the peer of that session still one whom we would accept: in time, its anchor still in the
/// bundle.
[[nodiscard]] bool may_resume(const ResumeFacts& facts,
                              const identity::Trusted& trusted,
                              WallTime now);

/// The newest session of one endpoint. It is offered again until a newer one replaces it: that a
/// ticket used twice links two connections (RFC 8446 §C.4) tells nobody anything between hosts that
/// present their names.
struct ResumeSlot {
  SslSessionPtr session;
  ResumeFacts facts;
};

/// By endpoint; bounded.
class ClientSessions {
 public:
  static constexpr std::size_t kMaxKeys = 256;
  /// Never null. A slot that is forgotten while a connection holds it is lost with that connection.
  [[nodiscard]] std::shared_ptr<ResumeSlot> slot(std::string_view key);

 private:
  struct Entry {
    std::string key;
    std::shared_ptr<ResumeSlot> slot;
  };
  using Order = std::list<Entry>;  // used last comes first

  Order order_;
  std::unordered_map<std::string_view, Order::iterator> by_key_;  // views of Entry::key
};

}  // namespace mooring::tls
