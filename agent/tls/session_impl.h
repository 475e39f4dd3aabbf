// The session over libssl.
#pragma once

#include <memory>
#include <string_view>

#include "tls/context.h"
#include "tls/session.h"

namespace mooring::tls {

class SessionImpl final : public Session {
 public:
  static Result<std::unique_ptr<Session>> make_client(std::shared_ptr<ContextCore> core,
                                                      const Context::ClientOptions& options);
  static Result<std::unique_ptr<Session>> make_server(std::shared_ptr<ContextCore> core,
                                                      const Context::ServerOptions& options);
  SessionImpl(std::shared_ptr<ContextCore> core, SslPtr ssl) noexcept;
  ~SessionImpl() override;
  SessionImpl(const SessionImpl&) = delete;
  SessionImpl& operator=(const SessionImpl&) = delete;

  Step start() override;
  Step feed(Bytes cipher) override;
  Step write(Bytes plain) override;
  Step close_write() override;
  Step feed_eof() override;
  bool is_established() const noexcept override { return phase_ == Phase::established; }
  const PeerInfo& peer() const noexcept override { return peer_; }
  std::string failure_text() const override;

  // libssl's callbacks, while a step of this session runs.
  bool on_verify(X509_STORE_CTX& store);
  void on_client_alpn(std::string_view offered);
  bool on_ticket_made();
  bool on_ticket_read(SSL_SESSION& session);

 private:
  enum class Phase : std::uint8_t { handshaking, established, failed };
  class Running;

  bool is_server() const noexcept { return core_->role == Role::server; }
  void handshake(Step& step);
  void complete(Step& step);
  bool adopt_peer();
  bool may_resume_now(const ResumeFacts& facts) const;
  void adopt_alpn();
  void read(Step& step);
  void keep_session();
  void fail_session(Failure failure, const char* rule) noexcept;
  void fail_by_library() noexcept;
  void finish(Step& step) noexcept;

  std::shared_ptr<ContextCore> core_;
  SslPtr ssl_;                        // freed before what its callbacks use
  std::shared_ptr<ResumeSlot> slot_;  // client with a resume_key
  PeerFactsPtr facts_;                // from verification, or from the session that was resumed
  WallTime resume_until_;             // goes with facts_
  const SSL_SESSION* seen_session_ = nullptr;  // only compared: a ticket comes with a new one
  std::span<const identity::NameMatcher> expected_peers_;  // the caller's, during the handshake
  Bytes unread_;  // the caller's, while the last step said `more`
  std::size_t handshake_bytes_ = 0;
  Phase phase_ = Phase::handshaking;
  bool is_peer_closed_ = false;
  bool is_closed_ = false;
  bool is_sound_ = false;  // established, and TLS did not break since
  Failure failure_ = Failure::none;
  unsigned long library_error_ = 0;
  const char* rule_ = "";
  PeerInfo peer_;
};

}  // namespace mooring::tls
