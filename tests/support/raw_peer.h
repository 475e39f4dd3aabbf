// A peer made of plain libssl, for what our own sessions would never do.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "support/pki.h"
#include "support/tls_pair.h"
#include "tls/openssl.h"

namespace mooring::test {

class RawPeer {
 public:
  using Tweak = std::function<void(SSL_CTX&)>;
  /// Trusts everyone. `own` empty: no certificate.
  RawPeer(tls::Role role, const std::optional<Issued>& own, const Tweak& tweak = {});

  /// Steps its handshake or reads, with what the other end has sent meanwhile; then hands over what
  /// it wants to send.
  void step(TlsEnd& other);
  /// Steps both until nothing moves.
  void run(TlsEnd& other);
  SSL* ssl() noexcept { return ssl_.get(); }
  [[nodiscard]] bool is_established() const noexcept {
    return SSL_is_init_finished(ssl_.get()) == 1;
  }
  [[nodiscard]] const std::string& plain() const noexcept { return plain_; }

 private:
  tls::SslCtxPtr context_;
  tls::SslPtr ssl_;
  std::string plain_;
};

}  // namespace mooring::test
