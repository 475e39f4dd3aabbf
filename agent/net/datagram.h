// A UDP socket on a loop. What the kernel does not take is lost, as datagrams are.
#pragma once

#include <functional>

#include "core/address.h"
#include "core/buffer.h"
#include "core/fd.h"
#include "core/loop.h"
#include "core/result.h"
#include "net/stream.h"

namespace mooring::net {

/// Non-blocking. IPv6 ones take IPv6 only.
[[nodiscard]] Result<UniqueFd> make_datagram_socket(const SocketAddress& address);
/// Takes datagrams of `target` only, from a port that the kernel chooses.
[[nodiscard]] Result<UniqueFd> make_connected_datagram_socket(const SocketAddress& target);

class DatagramSocket {
 public:
  /// Called from the loop; `bytes` are valid during the call. The socket may not be destroyed in
  /// it.
  using OnDatagram = std::function<void(Bytes bytes, const SocketAddress& from)>;

  /// `pool` outlives the socket: datagrams are read into its area.
  DatagramSocket(Loop& loop, StreamPool& pool, UniqueFd fd, OnDatagram on_datagram);

  void send_to(Bytes bytes, const SocketAddress& to) noexcept;
  void send(Bytes bytes) noexcept;  // of a connected one

 private:
  static constexpr int kDatagramsPerTurn = 32;
  void on_readable();

  StreamPool& pool_;
  UniqueFd fd_;
  OnDatagram on_datagram_;
  PollWatch watch_;
};

}  // namespace mooring::net
