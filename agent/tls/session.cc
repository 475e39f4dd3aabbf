#include "tls/session.h"

#include <openssl/err.h>
#include <openssl/x509_vfy.h>

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "tls/by_host.h"
#include "tls/session_impl.h"

namespace mooring::tls {

namespace {

constexpr std::byte kHandshakeRecord{SSL3_RT_HANDSHAKE};
// Bytes of a peer before its handshake is complete: its chain (32 KiB at most), and as much again
// for the rest.
constexpr std::size_t kMaxHandshakeBytes = std::size_t{64} * 1024;

constexpr std::size_t kMaxAlpnBytes = 1024;

Result<void> set_sni(SSL& ssl, std::string_view sni) {
  if (sni.empty()) return {};
  std::string name(sni);
  if (SSL_ctrl(&ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name, name.data()) != 1)
    return fail(Errc::bad_input, "SNI");
  return {};
}

/// As it is in a ClientHello (RFC 7301 §3.1).
Result<std::string> encode_alpn(std::span<const std::string> protocols) {
  std::string list;
  for (const std::string& protocol : protocols) {
    if (protocol.empty() || protocol.size() > 255) return fail(Errc::bad_input, "ALPN");
    list.append(1, static_cast<char>(protocol.size())).append(protocol);
  }
  if (list.size() > kMaxAlpnBytes) return fail(Errc::bad_input, "ALPN");
  return list;
}

/// The endpoint, and what a server may have answered by. (Lengths keep the parts apart.)
std::string slot_key(const Context::ClientOptions& options, std::string_view alpn) {
  return fmt::format(
      "{}|{}|{}{}{}", options.sni.size(), alpn.size(), options.sni, alpn, options.resume_key);
}

Failure failure_of(unsigned long error) noexcept {
  if (ERR_GET_LIB(error) != ERR_LIB_SSL) return Failure::protocol;
  const int reason = ERR_GET_REASON(error);
  if (reason >= SSL_AD_REASON_OFFSET) return Failure::peer_alert;
  if (reason == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE) return Failure::no_peer_certificate;
  return Failure::protocol;
}

}  // namespace

const char* to_string(Failure failure) noexcept {
  switch (failure) {
    case Failure::none:
      return "none";
    case Failure::protocol:
      return "protocol";
    case Failure::no_peer_certificate:
      return "no_peer_certificate";
    case Failure::untrusted:
      return "untrusted";
    case Failure::expired:
      return "expired";
    case Failure::bad_identity:
      return "bad_identity";
    case Failure::unexpected_peer:
      return "unexpected_peer";
    case Failure::peer_alert:
      return "peer_alert";
    case Failure::truncated:
      return "truncated";
    case Failure::plaintext:
      return "plaintext";
  }
  return "invalid";
}

/// One step: the worker's scratch belongs to this session until it ends.
class SessionImpl::Running {
 public:
  Running(SessionImpl& session, Bytes input) noexcept : scratch_(session.core_->scratch) {
    AGENT_CHECK(scratch_.running == nullptr);
    scratch_.running = &session;
    scratch_.input = input;
    scratch_.out_bytes = 0;
    ERR_clear_error();
  }
  ~Running() {
    scratch_.running = nullptr;
    scratch_.input = {};
  }
  Running(const Running&) = delete;
  Running& operator=(const Running&) = delete;

 private:
  Scratch::Impl& scratch_;
};

Result<std::unique_ptr<Session>> SessionImpl::make_server(std::shared_ptr<ContextCore> core,
                                                          const Context::ServerOptions& options) {
  SslPtr ssl(SSL_new(core->ssl_ctx.get()));
  if (!ssl) return fail(Errc::exhausted, "SSL_new");
  SSL_set_accept_state(ssl.get());
  auto session = std::make_unique<SessionImpl>(std::move(core), std::move(ssl));
  session->expected_peers_ = options.expected_peers;
  return session;
}

Result<std::unique_ptr<Session>> SessionImpl::make_client(std::shared_ptr<ContextCore> core,
                                                          const Context::ClientOptions& options) {
  if (!core->verifies_peer() && !options.expected_peers.empty())
    return fail(Errc::bad_input, "names of a peer that is not verified");
  const auto alpn = encode_alpn(options.alpn);
  if (!alpn) return fail(alpn.error());
  SslPtr ssl(SSL_new(core->ssl_ctx.get()));
  if (!ssl) return fail(Errc::exhausted, "SSL_new");
  SSL_set_connect_state(ssl.get());
  if (auto done = set_sni(*ssl, options.sni); !done) return fail(done.error());
  if (core->is_by_host && !expect_host(*ssl, options.host)) return fail(Errc::bad_input, "host");
  SSL_set_alpn_protos(ssl.get(),
                      reinterpret_cast<const unsigned char*>(alpn->data()),
                      static_cast<unsigned>(alpn->size()));
  auto session = std::make_unique<SessionImpl>(std::move(core), std::move(ssl));
  session->expected_peers_ = options.expected_peers;
  if (!options.resume_key.empty() && session->core_->resumption) {
    session->slot_ = session->core_->sessions.slot(slot_key(options, *alpn));
  }
  return session;
}

SessionImpl::SessionImpl(std::shared_ptr<ContextCore> core, SslPtr ssl) noexcept
    : core_(std::move(core)), ssl_(std::move(ssl)) {
  BIO* bio = core_->scratch.bio.get();
  BIO_up_ref(bio);
  BIO_up_ref(bio);
  SSL_set0_rbio(ssl_.get(), bio);
  SSL_set0_wbio(ssl_.get(), bio);
}

SessionImpl::~SessionImpl() {
  // SSL_free of a connection that was not shut down marks its session as not to be resumed.
  if (is_sound_) SSL_set_shutdown(ssl_.get(), SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
}

Step SessionImpl::start() {
  Step step;
  if (is_server()) return step;
  const Running running(*this, {});
  if (slot_ && slot_->session && may_resume_now(slot_->facts)) {
    SSL_set_session(ssl_.get(), slot_->session.get());
    seen_session_ = slot_->session.get();
  }
  handshake(step);
  finish(step);
  return step;
}

Step SessionImpl::feed(Bytes cipher) {
  Step step;
  if (phase_ == Phase::failed) {
    step.failure = failure_;
    return step;
  }
  const Running running(*this, unread_.empty() ? cipher : std::exchange(unread_, {}));
  const bool is_first = phase_ == Phase::handshaking && handshake_bytes_ == 0;
  if (is_server() && is_first && !cipher.empty() && cipher.front() != kHandshakeRecord) {
    fail_session(Failure::plaintext, "the first byte begins no TLS handshake");
  }
  if (phase_ == Phase::handshaking) handshake(step);
  if (phase_ == Phase::established) {
    read(step);
    keep_session();
  }
  finish(step);
  return step;
}

Step SessionImpl::write(Bytes plain) {
  AGENT_CHECK(plain.size() <= Scratch::kPlainBytes && phase_ != Phase::handshaking && !is_closed_);
  Step step;
  const Running running(*this, {});
  std::size_t written = 0;
  if (phase_ == Phase::established && !plain.empty() &&
      SSL_write_ex(ssl_.get(), plain.data(), plain.size(), &written) != 1) {
    fail_by_library();
  }
  finish(step);
  return step;
}

Step SessionImpl::close_write() {
  Step step;
  const Running running(*this, {});
  if (phase_ == Phase::established && !is_closed_) {
    is_closed_ = true;
    SSL_shutdown(ssl_.get());  // 0: ours is sent; the peer's is fed, not waited for
    ERR_clear_error();
  }
  finish(step);
  return step;
}

Step SessionImpl::feed_eof() {
  Step step;
  if (phase_ != Phase::failed && !is_peer_closed_)
    fail_session(Failure::truncated, "end of stream without close_notify");
  step.failure = failure_;
  step.peer_closed = is_peer_closed_;
  return step;
}

void SessionImpl::handshake(Step& step) {
  const std::size_t before = core_->scratch.input.size();
  const int done = SSL_do_handshake(ssl_.get());
  handshake_bytes_ += before - core_->scratch.input.size();
  if (done == 1) return complete(step);
  if (SSL_get_error(ssl_.get(), done) != SSL_ERROR_WANT_READ) return fail_by_library();
  if (handshake_bytes_ > kMaxHandshakeBytes)
    fail_session(Failure::protocol, "the handshake is too long");
}

void SessionImpl::complete(Step& step) {
  // Without it the keys are not bound to the handshake (RFC 7627); peers of today have it.
  if (SSL_version(ssl_.get()) == TLS1_2_VERSION && SSL_get_extms_support(ssl_.get()) != 1) {
    return fail_session(Failure::protocol, "TLS 1.2 without extended master secret");
  }
  peer_.resumed = SSL_session_reused(ssl_.get()) == 1;
  if (core_->is_by_host) adopt_alpn();
  if (core_->verifies_peer() && !adopt_peer())
    return fail_session(Failure::protocol, "a session without facts about its peer");
  peer_.version = SSL_get_version(ssl_.get());
  peer_.cipher = SSL_CIPHER_standard_name(SSL_get_current_cipher(ssl_.get()));
  if (const char* sni = SSL_get_servername(ssl_.get(), TLSEXT_NAMETYPE_host_name)) peer_.sni = sni;
  phase_ = Phase::established;
  is_sound_ = true;
  step.handshake_done = true;
}

void SessionImpl::adopt_alpn() {
  const unsigned char* protocol = nullptr;
  unsigned bytes = 0;
  SSL_get0_alpn_selected(ssl_.get(), &protocol, &bytes);
  if (bytes > 0) peer_.alpn.assign(reinterpret_cast<const char*>(protocol), bytes);
}

bool SessionImpl::adopt_peer() {
  if (peer_.resumed) {
    // The session that libssl resumed is what counts, not the last ticket that it looked at.
    const auto resumed = get_facts(*SSL_get_session(ssl_.get()));
    if (!resumed || !may_resume_now(*resumed)) return false;
    facts_ = resumed->peer;
    resume_until_ = resumed->until;
  }
  if (!facts_) return false;
  peer_.spiffe_id = facts_->names.spiffe_id();
  peer_.names = {facts_, &facts_->names};
  peer_.trust_anchor = facts_->anchor;
  peer_.not_after = facts_->not_after;
  return true;
}

void SessionImpl::read(Step& step) {
  Scratch::Impl& scratch = core_->scratch;
  std::size_t filled = 0;
  bool is_full = false;
  // A step that ends with the input has nothing more to give: libssl holds no whole record back.
  while (!is_peer_closed_ && !scratch.input.empty()) {
    is_full = Scratch::Impl::kPlainArea - filled < SSL3_RT_MAX_PLAIN_LENGTH;
    if (is_full) break;
    std::size_t got = 0;
    if (SSL_read_ex(
            ssl_.get(), scratch.plain.get() + filled, Scratch::Impl::kPlainArea - filled, &got) ==
        1) {
      filled += got;
      continue;
    }
    const int error = SSL_get_error(ssl_.get(), 0);
    if (error == SSL_ERROR_ZERO_RETURN) {
      is_peer_closed_ = true;
    } else if (error != SSL_ERROR_WANT_READ) {
      fail_by_library();
    }
    break;
  }
  step.plain = {scratch.plain.get(), filled};
  step.more = is_full && phase_ == Phase::established;
  if (step.more) unread_ = scratch.input;
}

void SessionImpl::keep_session() {
  if (!slot_) return;
  SSL_SESSION* session = SSL_get_session(ssl_.get());
  if (session == seen_session_) return;
  seen_session_ = session;
  const ResumeFacts facts{facts_, resume_until_};
  if (SSL_SESSION_has_ticket(session) != 1 || !put_facts(*session, facts)) return;
  SSL_SESSION_up_ref(session);
  *slot_ = {SslSessionPtr(session), facts};
}

void SessionImpl::fail_session(Failure failure, const char* rule) noexcept {
  phase_ = Phase::failed;
  failure_ = failure;
  rule_ = rule;
}

void SessionImpl::fail_by_library() noexcept {
  // The first one says what it was ("decryption failed"), later ones what became of it ("record
  // layer failure"); below libssl the first one is too deep ("bad decrypt").
  library_error_ = ERR_peek_error();
  if (ERR_GET_LIB(library_error_) != ERR_LIB_SSL) library_error_ = ERR_peek_last_error();
  phase_ = Phase::failed;
  is_sound_ = false;
  if (core_->is_by_host && ERR_GET_LIB(library_error_) == ERR_LIB_SSL &&
      ERR_GET_REASON(library_error_) == SSL_R_CERTIFICATE_VERIFY_FAILED) {
    const long result = SSL_get_verify_result(ssl_.get());
    failure_ = failure_of_verification(result);
    rule_ = X509_verify_cert_error_string(result);
  }
  // A callback of ours may have said it better than the library's "certificate verify failed".
  if (failure_ == Failure::none) failure_ = failure_of(library_error_);
  ERR_clear_error();
}

void SessionImpl::finish(Step& step) noexcept {
  step.to_peer = {core_->scratch.out.get(), core_->scratch.out_bytes};
  step.peer_closed = is_peer_closed_;
  step.failure = failure_;
  step.library_code = ERR_GET_REASON(library_error_);
}

std::string SessionImpl::failure_text() const {
  if (*rule_ != '\0') return rule_;
  if (library_error_ == 0) return {};
  const char* reason = ERR_reason_error_string(library_error_);
  return reason == nullptr ? "unknown reason" : reason;
}

bool SessionImpl::may_resume_now(const ResumeFacts& facts) const {
  return may_resume(facts, *core_->material->trusted, core_->clock.wall()) &&
         identity::is_expected(expected_peers_, facts.peer->names);
}

bool SessionImpl::on_verify(X509_STORE_CTX& store) {
  if (!core_->verifies_peer()) {
    X509_STORE_CTX_set_error(&store, X509_V_OK);
    return true;
  }
  const WallTime now = core_->clock.wall();
  STACK_OF(X509)* presented = X509_STORE_CTX_get0_untrusted(&store);
  auto verified = core_->verifier.verify(presented, now, core_->scratch);
  if (verified && !identity::is_expected(expected_peers_, (*verified)->names)) {
    peer_.spiffe_id = (*verified)->names.spiffe_id();  // whom we met instead, for the log
    verified = tl::unexpected<Rejection>(Rejection{Failure::unexpected_peer,
                                                   X509_V_ERR_CERT_REJECTED,
                                                   "not an identity that is expected here"});
  }
  if (!verified) {
    failure_ = verified.error().failure;
    rule_ = verified.error().rule;
    X509_STORE_CTX_set_error(&store, verified.error().x509_error);
    return false;
  }
  facts_ = std::move(*verified);
  resume_until_ = std::min({now + kMaxResumption, facts_->not_after, core_->own_not_after()});
  X509_STORE_CTX_set_cert(&store, sk_X509_value(presented, 0));
  X509_STORE_CTX_set_error(&store, X509_V_OK);
  return true;
}

void SessionImpl::on_client_alpn(std::string_view offered) {
  // libssl has checked the list: length-prefixed, not empty.
  const auto length = static_cast<unsigned char>(offered.front());
  peer_.alpn = offered.substr(1, length);
}

bool SessionImpl::on_ticket_made() {
  SSL_SESSION* session = SSL_get_session(ssl_.get());
  // Without facts nobody takes it: this handshake goes on, the next is a full one.
  if (!facts_ || !put_facts(*session, {facts_, resume_until_})) return true;
  const auto left =
      std::chrono::duration_cast<std::chrono::seconds>(resume_until_ - core_->clock.wall()).count();
  SSL_SESSION_set_timeout(session, static_cast<long>(std::max<std::int64_t>(left, 1)));
  return true;
}

bool SessionImpl::on_ticket_read(SSL_SESSION& session) {
  const auto facts = get_facts(session);
  return facts && may_resume_now(*facts);
}

}  // namespace mooring::tls
