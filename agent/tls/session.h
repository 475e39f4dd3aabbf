// TLS as bytes in, bytes out: contexts made from identity material, and a session per connection. A
// worker's contexts and sessions share its scratch; a session holds no socket and, while idle, no
// buffer.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/buffer.h"
#include "core/clock.h"
#include "core/result.h"
#include "identity/material.h"
#include "identity/name_matcher.h"

namespace mooring::tls {

enum class Version : std::uint8_t { tls12, tls13 };

struct Parameters {
  Version min_version = Version::tls12;
  Version max_version = Version::tls13;
  std::vector<std::string> ciphers = {};  // IANA names; empty: AES-128-GCM, AES-256-GCM, CHACHA20
  std::vector<std::string> groups = {};   // X25519, P-256, P-384, P-521; empty: the first two
  bool resumption = true;

  friend bool operator==(const Parameters&, const Parameters&) = default;
};

/// Why a handshake or a session failed; proxy maps it to a CloseReason.
enum class Failure : std::uint8_t {
  none,
  protocol,  // the peer broke TLS or nothing in common
  no_peer_certificate,
  untrusted,
  expired,       // expired or not yet valid
  bad_identity,  // X.509-SVID rules broken
  unexpected_peer,
  peer_alert,  // the peer refused us by an alert
  truncated,   // end of stream without close_notify
  plaintext,   // server: the first bytes are no TLS record
};
[[nodiscard]] const char* to_string(Failure failure) noexcept;

/// Facts after the handshake.
struct PeerInfo {
  std::string spiffe_id;  // empty: the peer has none, or several
  /// The peer's verified names, shared by its connections. Where the trust domain picks the bundle
  /// this is the SPIFFE ID alone: a domain's CA speaks for no other kind of name. Null: the peer
  /// was not verified, or it is known by host.
  std::shared_ptr<const identity::Names> names;
  identity::Fingerprint trust_anchor{};  // that ended the verified path
  WallTime not_after;                    // of the peer's chain
  const char* version = "";              // "TLSv1.3"; static storage
  const char* cipher = "";               // "TLS_AES_128_GCM_SHA256"; static storage
  std::string sni;                       // server: as the client asked
  std::string alpn;  // server: the client's first offer, never selected; by host: the selected one
  bool resumed = false;
};

/// Per worker, outlives its contexts and sessions. Where ciphertext that a session produced is
/// collected and plaintext is decrypted to. `plain` of a step stays valid until the next feed(),
/// `to_peer` until the next call of any kind, on any session of the worker: what one session
/// decrypted may be handed to another's write().
class Scratch {
 public:
  /// A feed() of at most this many bytes of ciphertext never answers `more`; a write() takes at
  /// most this many.
  static constexpr std::size_t kPlainBytes = 256 * 1024;
  Scratch();
  ~Scratch();
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  struct Impl;
  [[nodiscard]] Impl& impl() noexcept { return *impl_; }

 private:
  std::unique_ptr<Impl> impl_;
};

enum class Role : std::uint8_t { client, server };

class Session;

/// One SSL_CTX for one material, role and parameter set; belongs to one worker. A client context
/// also keeps the sessions to resume, per endpoint key, bounded. Sessions may outlive the context
/// that made them.
///
/// A session is resumed only where a full handshake would be accepted now: under the material and
/// parameters that it was made with, for the same endpoint, server name and protocols, by a peer
/// whose names are expected. That of a peer which is not verified is not kept.
class Context {
 public:
  /// A client may do without what it presents (it then has no certificate) or without trust (the
  /// server is then not verified). A server may not: it always has a certificate, and always asks
  /// for one that it can verify. Fails with unsupported for a cipher or group name, for versions
  /// that leave none, and for a server without either half; bad_certificate for material that the
  /// library refuses.
  [[nodiscard]] static Result<std::unique_ptr<Context>> make(Role role,
                                                             identity::MaterialPtr material,
                                                             const Parameters& parameters,
                                                             Scratch& scratch,
                                                             const Clock& clock);
  /// For servers that are known by host name, as a control plane is: whoever the certificates in
  /// `ca_pem` (one or more) stand for. No certificate of our own, no resumption. Every client needs
  /// ClientOptions::host.
  [[nodiscard]] static Result<std::unique_ptr<Context>> make_by_host(std::string_view ca_pem,
                                                                     Scratch& scratch,
                                                                     const Clock& clock);
  virtual ~Context() = default;

  struct ClientOptions {
    std::string_view sni = {};  // empty: none
    /// Offered, in this order; each of 1 to 255 bytes, 1 KiB in all. Empty: none.
    std::span<const std::string> alpn = mesh_alpn();
    /// Outlives the handshake. Empty: any peer that is trusted.
    std::span<const identity::NameMatcher> expected_peers = {};
    /// Cluster and endpoint: sessions are kept under it. Empty: none is kept.
    std::string_view resume_key = {};
    /// make_by_host(): the DNS name or IP address that the server's certificate must have.
    std::string_view host = {};
  };
  struct ServerOptions {
    /// Outlives the handshake. Empty: any peer that is trusted.
    std::span<const identity::NameMatcher> expected_peers = {};
  };
  /// Fails with bad_input for a server name, host or protocol that cannot be one, and for peers
  /// that are expected but not verified.
  [[nodiscard]] virtual Result<std::unique_ptr<Session>> make_client(
      const ClientOptions& options) = 0;
  [[nodiscard]] virtual Result<std::unique_ptr<Session>> make_server(
      const ServerOptions& options) = 0;
  [[nodiscard]] Result<std::unique_ptr<Session>> make_server() { return make_server({}); }

  /// "kuma": what the clients of a mesh offer, and its servers do not select.
  [[nodiscard]] static std::span<const std::string> mesh_alpn() noexcept;
};

/// What a step of a session yields. `to_peer` and `plain` point into the worker's Scratch.
struct Step {
  Bytes to_peer;                // send these first, whatever else is said
  Bytes plain;                  // decrypted
  bool handshake_done = false;  // true once: in the step that completes the handshake
  bool peer_closed = false;     // close_notify has come
  /// Scratch was full: use `plain`, then call feed({}); the input must still be there.
  bool more = false;
  Failure failure = Failure::none;
  std::int32_t library_code = 0;  // ERR_GET_REASON, for the log
};

class Session {
 public:
  virtual ~Session() = default;

  /// Client: begins the handshake. Server: nothing to send.
  virtual Step start() = 0;
  /// Ciphertext from the peer; all of it is consumed unless `more` is set. After a failure the
  /// session is only to be destroyed, once `to_peer` (the alert) has been sent.
  virtual Step feed(Bytes cipher) = 0;
  /// Encrypts all of `plain` (at most Scratch::kPlainBytes).
  virtual Step write(Bytes plain) = 0;
  /// close_notify; no more write() after it.
  virtual Step close_write() = 0;
  /// The TCP stream ended: failure truncated unless close_notify had come.
  virtual Step feed_eof() = 0;

  [[nodiscard]] virtual bool is_established() const noexcept = 0;
  /// After handshake_done.
  [[nodiscard]] virtual const PeerInfo& peer() const noexcept = 0;
  /// Text of the library's last error, for the log. Never secrets.
  [[nodiscard]] virtual std::string failure_text() const = 0;
};

}  // namespace mooring::tls
