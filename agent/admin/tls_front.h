// TLS in front of the admin API, for those who are known by their certificate: Kuma's control plane
// asks so for what `kumactl inspect` shows. What it decrypts goes to the admin server by a pair of
// sockets, so that there is one HTTP server. Who speaks no TLS is served as anybody, or not at
// all. Control thread.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "admin/server.h"
#include "core/loop.h"
#include "identity/name_matcher.h"
#include "net/listener.h"
#include "net/stream.h"
#include "tls/session.h"

namespace mooring::admin {

struct TlsIdentity {
  std::unique_ptr<tls::Context> context;       // a server's
  std::vector<identity::NameMatcher> clients;  // any of them; never empty
};

/// What comes without TLS.
enum class PlainText : std::uint8_t { served, refused };

class TlsFront {
 public:
  static constexpr std::size_t kMaxConnections = 16;
  static constexpr Milliseconds kDeadline{10000};  // for first bytes and handshake

  /// `server` and `pool` outlive the front.
  TlsFront(Loop& loop,
           net::StreamPool& pool,
           Server& server,
           UniqueFd listening,
           PlainText plain_text = PlainText::served);
  ~TlsFront();
  TlsFront(const TlsFront&) = delete;
  TlsFront& operator=(const TlsFront&) = delete;

  /// For the next handshakes. Before the first one nobody is served by TLS.
  void set_identity(std::shared_ptr<const TlsIdentity> identity) {
    identity_ = std::move(identity);
  }

 private:
  class Link;
  void accept(UniqueFd fd);
  void retire(Link& link);

  Loop& loop_;
  net::StreamPool& pool_;
  Server& server_;
  const PlainText plain_text_;
  std::shared_ptr<const TlsIdentity> identity_;
  std::vector<std::unique_ptr<Link>> links_;
  std::vector<std::unique_ptr<Link>> retired_;
  Timer reaper_;
  net::Listener listener_;
};

}  // namespace mooring::admin
