#include "support/raw_peer.h"

#include <openssl/err.h>
#include <openssl/pem.h>

#include <utility>

namespace mooring::test {

namespace {

void set_certificate(SSL_CTX& context, const Issued& own) {
  auto chain = identity::parse_certificates(own.cert_pem, 100);
  AGENT_CHECK(chain.has_value());
  SSL_CTX_use_certificate(&context, chain->front().get());
  for (std::size_t i = 1; i < chain->size(); ++i)
    SSL_CTX_add1_chain_cert(&context, (*chain)[i].get());
  const tls::BioPtr bio(BIO_new_mem_buf(own.key_pem.data(), static_cast<int>(own.key_pem.size())));
  const identity::EvpPkeyPtr key(PEM_read_bio_PrivateKey(bio.get(), nullptr, nullptr, nullptr));
  AGENT_CHECK(SSL_CTX_use_PrivateKey(&context, key.get()) == 1);
}

}  // namespace

RawPeer::RawPeer(tls::Role role, const std::optional<Issued>& own, const Tweak& tweak)
    : context_(SSL_CTX_new(role == tls::Role::server ? TLS_server_method() : TLS_client_method())) {
  SSL_CTX_set_security_level(context_.get(), 0);
  SSL_CTX_set_cert_verify_callback(
      context_.get(), [](X509_STORE_CTX*, void*) { return 1; }, nullptr);
  SSL_CTX_set_verify(context_.get(), SSL_VERIFY_PEER, nullptr);
  SSL_CTX_set_max_cert_list(context_.get(), 1 << 20);
  if (own) set_certificate(*context_, *own);
  if (tweak) tweak(*context_);
  ssl_.reset(SSL_new(context_.get()));
  SSL_set_bio(ssl_.get(), BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
  if (role == tls::Role::server) {
    SSL_set_accept_state(ssl_.get());
  } else {
    SSL_set_connect_state(ssl_.get());
  }
}

void RawPeer::step(TlsEnd& other) {
  ERR_clear_error();
  const std::string received = std::exchange(other.outgoing, {});
  BIO_write(SSL_get_rbio(ssl_.get()), received.data(), static_cast<int>(received.size()));
  if (!is_established()) SSL_do_handshake(ssl_.get());
  char buffer[16384];
  std::size_t got = 0;
  while (is_established() && SSL_read_ex(ssl_.get(), buffer, sizeof buffer, &got) == 1)
    plain_.append(buffer, got);
  char* sent = nullptr;
  const long bytes = BIO_get_mem_data(SSL_get_wbio(ssl_.get()), &sent);
  const std::string outgoing(sent, static_cast<std::size_t>(bytes));
  BIO_reset(SSL_get_wbio(ssl_.get()));
  if (!outgoing.empty()) other.take(other.session->feed(std::as_bytes(std::span(outgoing))));
}

void RawPeer::run(TlsEnd& other) {
  do {
    step(other);
  } while (!other.outgoing.empty());
  step(other);
}

}  // namespace mooring::test
