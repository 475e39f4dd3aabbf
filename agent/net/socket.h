// Making and asking TCP sockets. Errors are errno's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "core/address.h"
#include "core/clock.h"
#include "core/fd.h"
#include "core/result.h"

namespace mooring::net {

struct Keepalive {
  Milliseconds idle{45000};
  Milliseconds interval{10000};
};

struct ListenOptions {
  bool transparent = false;  // IP_TRANSPARENT: needs CAP_NET_ADMIN or CAP_NET_RAW
  bool reuse_port = true;    // one socket for each worker
  int backlog = 4096;
};

/// A listening, non-blocking socket. IPv6 ones take IPv6 only.
[[nodiscard]] Result<UniqueFd> make_listener(const SocketAddress& address,
                                             const ListenOptions& options);

/// Was a listener of a loopback address refused because the host does not have that family?
[[nodiscard]] bool is_lack_of_family(const Error& error) noexcept;

/// What every proxied connection wants, set on a listener so that accepted sockets inherit it: no
/// delay, keepalive, and a reset when the process dies (SO_LINGER 0).
void set_proxy_options(int fd, const Keepalive& keepalive) noexcept;
/// Before an orderly close: unsent bytes are delivered after close() instead of being cut off.
void allow_orderly_close(int fd) noexcept;

/// The socket's error that no call has reported yet, taken from it; 0: none (SO_ERROR).
[[nodiscard]] int pending_error(int fd) noexcept;

/// What has come and waits to be read (FIONREAD).
[[nodiscard]] std::size_t readable_bytes(int fd) noexcept;

/// What was written and the peer's kernel has not yet acknowledged (SIOCOUTQ).
[[nodiscard]] std::size_t unacknowledged_bytes(int fd) noexcept;

/// A non-blocking socket, bound to `source` when given (port 0: any), with the proxy's options.
[[nodiscard]] Result<UniqueFd> make_connecting_socket(const SocketAddress& target,
                                                      const std::optional<IpAddress>& source,
                                                      const Keepalive& keepalive);

/// Before a REDIRECT rule changed it (SO_ORIGINAL_DST). Fails with not_found when the kernel does
/// not track the connection: then it was dialled directly.
[[nodiscard]] Result<OriginalDst> redirected_dst(int fd, bool v4) noexcept;
[[nodiscard]] Result<SocketAddress> local_address(
    int fd) noexcept;  // with TPROXY this is the original destination
[[nodiscard]] Result<SocketAddress> peer_address(int fd) noexcept;

/// The address of this host that a connection to `target` would come from, by the routes of now.
/// Nothing is sent.
[[nodiscard]] Result<IpAddress> source_address(const SocketAddress& target) noexcept;

}  // namespace mooring::net
