// Socket addresses, prefixes and port ranges as plain values.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <array>
#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "core/result.h"

namespace mooring {

/// An IPv4 or IPv6 address without a port. IPv4-mapped IPv6 is always held as IPv4.
class IpAddress {
 public:
  IpAddress() noexcept = default;  // 0.0.0.0
  static IpAddress v4(std::uint32_t host_order) noexcept;
  static IpAddress v6(const std::array<std::uint8_t, 16>& bytes) noexcept;
  static IpAddress v4_loopback() noexcept { return v4(0x7f000001); }
  static IpAddress v6_loopback() noexcept {
    return v6({0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1});
  }

  [[nodiscard]] bool is_v4() const noexcept { return v4_; }
  [[nodiscard]] bool is_loopback() const noexcept;
  [[nodiscard]] bool is_unspecified() const noexcept;
  /// Network order; the first four are used for IPv4.
  [[nodiscard]] const std::array<std::uint8_t, 16>& bytes() const noexcept { return bytes_; }
  [[nodiscard]] std::string to_string() const;

  friend auto operator<=>(const IpAddress&, const IpAddress&) noexcept = default;

 private:
  bool v4_ = true;
  std::array<std::uint8_t, 16> bytes_{};
};

/// Address and port, 20 bytes.
struct SocketAddress {
  IpAddress ip;
  std::uint16_t port = 0;

  /// Fills a sockaddr and returns its length.
  socklen_t to_sockaddr(sockaddr_storage& out) const noexcept;
  /// Fails with unsupported for a family other than AF_INET and AF_INET6.
  static Result<SocketAddress> from_sockaddr(const sockaddr_storage& in) noexcept;
  /// "10.0.0.1:80", "[fd00::1]:80".
  [[nodiscard]] std::string to_string() const;

  friend auto operator<=>(const SocketAddress&, const SocketAddress&) noexcept = default;
};

/// A CIDR block; host bits are zero.
struct IpPrefix {
  IpAddress base;
  std::uint8_t length = 0;  // 0..32 or 0..128

  [[nodiscard]] bool contains(const IpAddress& ip) const noexcept;
  [[nodiscard]] bool overlaps(const IpPrefix& other) const noexcept;
  [[nodiscard]] std::string to_string()
      const;  // "10.0.0.0/8"; a full-length prefix keeps its length

  friend auto operator<=>(const IpPrefix&, const IpPrefix&) noexcept = default;
};

/// What an agent's original-destination look-up gives: the address that the application meant.
struct OriginalDst {
  SocketAddress address;
};

/// The address of a unix socket in the file system. Fails with too_large for a path that is longer
/// than the kernel takes.
[[nodiscard]] Result<sockaddr_un> unix_address(std::string_view path) noexcept;

[[nodiscard]] Result<std::uint16_t> parse_port(std::string_view text) noexcept;  // 1..65535
[[nodiscard]] Result<IpAddress> parse_ip(std::string_view text) noexcept;  // no brackets, no scope
[[nodiscard]] Result<SocketAddress> parse_socket_address(
    std::string_view text) noexcept;  // "ip:port", "[ip]:port"
/// A block or a single address. Fails with bad_input when host bits are set.
[[nodiscard]] Result<IpPrefix> parse_prefix(std::string_view text) noexcept;

}  // namespace mooring

template <>
struct std::hash<mooring::SocketAddress> {
  std::size_t operator()(const mooring::SocketAddress& address) const noexcept;
};
