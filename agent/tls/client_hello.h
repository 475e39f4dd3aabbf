// Tells a mesh ClientHello from everything else by a connection's first bytes, for ports that take
// both. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "core/buffer.h"

namespace mooring::tls {

/// First bytes looked at, at most: a ClientHello of 16 KiB in records, and their headers. What is
/// longer is not ours.
inline constexpr std::size_t kMaxClientHelloBytes = 17 * 1024;

enum class FirstBytes : std::uint8_t {
  need_more,     // a ClientHello so far, and not all of it
  not_tls,       // never a ClientHello, whatever follows
  client_hello,  // a whole one
};

struct ClientHello {
  FirstBytes kind = FirstBytes::need_more;
  bool is_mesh = false;           // ALPN offers "kuma"; the TLS of an application never does
  std::vector<std::string> alpn;  // all that it offers, in its order
  bool offers_tls13 = false;
  std::string sni;  // as sent: at most 255 bytes of [-A-Za-z0-9._], else empty
};

/// `bytes` is everything received so far, from the first byte on. A ClientHello may come in several
/// segments and in several TLS records (RFC 8446 §5.1).
[[nodiscard]] ClientHello inspect_client_hello(Bytes bytes);

}  // namespace mooring::tls
