#include "tls/context.h"

#include <openssl/err.h>
#include <openssl/x509.h>

#include <algorithm>
#include <array>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "tls/parameters.h"
#include "tls/session_impl.h"

namespace mooring::tls {

namespace {

// Chain and handshake of a peer, in bytes: eight certificates of 4 KiB.
constexpr long kMaxChainBytes = 32L * 1024;
// The CAs of a distribution, all of them, are a quarter of this.
constexpr std::size_t kMaxCaBytes = std::size_t{1024} * 1024;
constexpr std::size_t kMaxCas = kMaxCaBytes / 256;  // none is so short: the bytes are the bound

SessionImpl& running(void* core) noexcept {
  return *static_cast<ContextCore*>(core)->scratch.running;
}

int on_verify(X509_STORE_CTX* store, void* core) noexcept {
  return running(core).on_verify(*store) ? 1 : 0;
}

int on_client_alpn(SSL*,
                   const unsigned char**,
                   unsigned char*,
                   const unsigned char* offered,
                   unsigned int bytes,
                   void* core) noexcept {
  running(core).on_client_alpn({reinterpret_cast<const char*>(offered), bytes});
  return SSL_TLSEXT_ERR_NOACK;  // Envoy's mesh listeners select none, and so do we
}

int on_ticket_made(SSL*, void* core) noexcept {
  return running(core).on_ticket_made() ? 1 : 0;
}

SSL_TICKET_RETURN on_ticket_read(SSL*,
                                 SSL_SESSION* session,
                                 const unsigned char*,
                                 std::size_t,
                                 SSL_TICKET_STATUS status,
                                 void* core) noexcept {
  if (status == SSL_TICKET_EMPTY || status == SSL_TICKET_NO_DECRYPT)
    return SSL_TICKET_RETURN_IGNORE_RENEW;
  if (!running(core).on_ticket_read(*session)) return SSL_TICKET_RETURN_IGNORE_RENEW;
  // No new ticket: it would end with this one (see ResumeFacts), and cost a fifth of the handshake.
  return SSL_TICKET_RETURN_USE;
}

std::uint64_t options() noexcept {
  std::uint64_t wanted = SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |
                         SSL_OP_CIPHER_SERVER_PREFERENCE |
                         SSL_OP_NO_ENCRYPT_THEN_MAC;  // for CBC, which is not offered
#ifdef SSL_OP_NO_TX_CERTIFICATE_COMPRESSION
  wanted |= SSL_OP_NO_TX_CERTIFICATE_COMPRESSION | SSL_OP_NO_RX_CERTIFICATE_COMPRESSION;
#endif
  return wanted;
}

Result<void> set_own_certificate(SSL_CTX& context, const identity::Presented& own) {
  // Copies: a key and its certificate have locks and counts, which the workers would share.
  const identity::EvpPkeyPtr key(EVP_PKEY_dup(own.key.get()));
  const identity::X509Ptr leaf(X509_dup(own.chain.front().get()));
  if (!key || !leaf || SSL_CTX_use_certificate(&context, leaf.get()) != 1 ||
      SSL_CTX_use_PrivateKey(&context, key.get()) != 1) {
    return fail(Errc::bad_certificate, "own certificate", ERR_GET_REASON(ERR_peek_last_error()));
  }
  for (std::size_t i = 1; i < own.chain.size(); ++i) {
    const identity::X509Ptr issuer(X509_dup(own.chain[i].get()));
    if (!issuer || SSL_CTX_add1_chain_cert(&context, issuer.get()) != 1) {
      return fail(Errc::bad_certificate, "own chain", ERR_GET_REASON(ERR_peek_last_error()));
    }
  }
  return {};
}

/// A session of TLS 1.2 brings its cipher along: one that was made under other parameters is not
/// taken. (The ticket keys tell materials apart.)
identity::Fingerprint session_id_context(const Parameters& parameters) {
  const std::string text = fmt::format("{} {} {} {}",
                                       static_cast<int>(parameters.min_version),
                                       static_cast<int>(parameters.max_version),
                                       fmt::join(parameters.ciphers, ","),
                                       fmt::join(parameters.groups, ","));
  identity::Fingerprint hash{};
  unsigned bytes = 0;
  AGENT_CHECK(EVP_Digest(text.data(), text.size(), hash.data(), &bytes, EVP_sha256(), nullptr) ==
                  1 &&
              bytes == hash.size());
  return hash;
}

void set_client(ContextCore& core) {
  SSL_CTX* context = core.ssl_ctx.get();
  // Sessions are kept by ClientSessions. With a cache of its own the library would also void a
  // session of TLS 1.3 when it has been used once.
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  if (!core.resumption) SSL_CTX_set_options(context, SSL_OP_NO_TICKET);
}

Result<void> set_server(ContextCore& core, const Parameters& parameters) {
  SSL_CTX* context = core.ssl_ctx.get();
  SSL_CTX_set_alpn_select_cb(context, on_client_alpn, &core);
  SSL_CTX_set_session_cache_mode(context,
                                 SSL_SESS_CACHE_OFF);  // tickets only: nothing is kept here
  SSL_CTX_set_num_tickets(context, core.resumption ? 1 : 0);
  if (!core.resumption) {
    SSL_CTX_set_options(context, SSL_OP_NO_TICKET);
    return {};
  }
  const identity::Fingerprint id_context = session_id_context(parameters);
  static_assert(sizeof id_context <= SSL_MAX_SID_CTX_LENGTH);
  identity::TicketKeys keys = core.material->ticket_keys;
  const bool is_set =
      SSL_CTX_set_session_id_context(context, id_context.data(), id_context.size()) == 1 &&
      SSL_CTX_set_tlsext_ticket_keys(context, keys.data(), keys.size()) == 1 &&
      SSL_CTX_set_session_ticket_cb(context, on_ticket_made, on_ticket_read, &core) == 1;
  OPENSSL_cleanse(keys.data(), keys.size());
  if (!is_set) return fail(Errc::tls_protocol, "tickets", ERR_GET_REASON(ERR_peek_last_error()));
  return {};
}

Result<SslCtxPtr> make_ssl_ctx(Role role, const Parameters& parameters) {
  SslCtxPtr made(SSL_CTX_new(role == Role::server ? TLS_server_method() : TLS_client_method()));
  if (!made) return fail(Errc::exhausted, "SSL_CTX_new");
  if (auto done = apply_parameters(*made, parameters); !done) return fail(done.error());
  SSL_CTX_set_options(made.get(), options());
  // NO_AUTO_CHAIN: the chain is what the material says, the library has not to search for issuers.
  SSL_CTX_set_mode(made.get(), SSL_MODE_RELEASE_BUFFERS | SSL_MODE_NO_AUTO_CHAIN);
  SSL_CTX_set_max_cert_list(made.get(), kMaxChainBytes);
  SSL_CTX_set_verify(made.get(), SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  return made;
}

Result<std::shared_ptr<ContextCore>> make_core(std::shared_ptr<ContextCore> core,
                                               const Parameters& parameters) {
  core->resumption = parameters.resumption && core->verifies_peer();
  auto made = make_ssl_ctx(core->role, parameters);
  if (!made) return fail(made.error());
  core->ssl_ctx = std::move(*made);
  SSL_CTX* context = core->ssl_ctx.get();
  SSL_CTX_set_cert_verify_callback(context, on_verify, core.get());
  if (core->material->presented) {
    if (auto done = set_own_certificate(*context, *core->material->presented); !done)
      return fail(done.error());
  }
  if (core->role == Role::client) {
    set_client(*core);
  } else if (auto done = set_server(*core, parameters); !done) {
    return fail(done.error());
  }
  return core;
}

Result<std::shared_ptr<ContextCore>> make_core_by_host(std::shared_ptr<ContextCore> core,
                                                       std::string_view ca_pem) {
  core->is_by_host = true;
  core->resumption = false;
  // A control plane's certificate comes from any CA: every curve that we know.
  auto made = make_ssl_ctx(Role::client,
                           {.groups = {"X25519", "P-256", "P-384", "P-521"}, .resumption = false});
  if (!made) return fail(made.error());
  core->ssl_ctx = std::move(*made);
  X509_STORE* store = SSL_CTX_get_cert_store(core->ssl_ctx.get());
  // What the admin gave is trusted as it is: an intermediate, or the server's own certificate.
  X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN);
  SSL_CTX_set_options(core->ssl_ctx.get(), SSL_OP_NO_TICKET);
  const auto anchors = identity::parse_certificates(ca_pem, kMaxCas);
  if (!anchors) return fail(Errc::bad_certificate, "CA");
  for (const identity::X509Ptr& anchor : *anchors)
    if (X509_STORE_add_cert(store, anchor.get()) != 1) return fail(Errc::bad_certificate, "CA");
  return core;
}

class ContextImpl final : public Context {
 public:
  explicit ContextImpl(std::shared_ptr<ContextCore> core) : core_(std::move(core)) {}

  Result<std::unique_ptr<Session>> make_client(const ClientOptions& options) override {
    AGENT_CHECK(core_->role == Role::client);
    return SessionImpl::make_client(core_, options);
  }
  Result<std::unique_ptr<Session>> make_server(const ServerOptions& options) override {
    AGENT_CHECK(core_->role == Role::server);
    return SessionImpl::make_server(core_, options);
  }

 private:
  std::shared_ptr<ContextCore> core_;
};

}  // namespace

ContextCore::ContextCore(Role its_role,
                         identity::MaterialPtr its_material,
                         Scratch& its_scratch,
                         const Clock& its_clock)
    : role(its_role),
      material(std::move(its_material)),
      scratch(its_scratch.impl()),
      clock(its_clock),
      verifier(material ? material->trusted : nullptr,
               role == Role::server ? identity::Purpose::client : identity::Purpose::server) {}

Result<std::unique_ptr<Context>> Context::make(Role role,
                                               identity::MaterialPtr material,
                                               const Parameters& parameters,
                                               Scratch& scratch,
                                               const Clock& clock) {
  AGENT_CHECK(material != nullptr);
  if (role == Role::server && !material->presented)
    return fail(Errc::unsupported, "a server without certificate");
  if (role == Role::server && !material->trusted)
    return fail(Errc::unsupported, "a server that does not verify its clients");
  identity::prepare_library();
  AGENT_CHECK(OPENSSL_init_ssl(OPENSSL_INIT_NO_LOAD_CONFIG, nullptr) == 1);
  ERR_clear_error();
  auto core = make_core(std::make_shared<ContextCore>(role, std::move(material), scratch, clock),
                        parameters);
  ERR_clear_error();
  if (!core) return fail(core.error());
  return std::make_unique<ContextImpl>(std::move(*core));
}

std::span<const std::string> Context::mesh_alpn() noexcept {
  static const std::array<std::string, 1> offered{"kuma"};
  return offered;
}

Result<std::unique_ptr<Context>> Context::make_by_host(std::string_view ca_pem,
                                                       Scratch& scratch,
                                                       const Clock& clock) {
  if (ca_pem.size() > kMaxCaBytes) return fail(Errc::too_large, "CA");
  AGENT_CHECK(OPENSSL_init_ssl(OPENSSL_INIT_NO_LOAD_CONFIG, nullptr) == 1);
  ERR_clear_error();
  auto core = make_core_by_host(
      std::make_shared<ContextCore>(Role::client, nullptr, scratch, clock), ca_pem);
  ERR_clear_error();
  if (!core) return fail(core.error());
  return std::make_unique<ContextImpl>(std::move(*core));
}

}  // namespace mooring::tls
