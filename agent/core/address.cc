#include "core/address.h"

#include <arpa/inet.h>

#include <algorithm>
#include <cstring>
#include <functional>

#include <fmt/format.h>

namespace mooring {

namespace {

constexpr std::array<std::uint8_t, 12> kMappedPrefix{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

bool same_bits(const IpAddress& a, const IpAddress& b, unsigned bits) noexcept {
  const unsigned whole = bits / 8;
  if (std::memcmp(a.bytes().data(), b.bytes().data(), whole) != 0) return false;
  const unsigned rest = bits % 8;
  if (rest == 0) return true;
  const auto mask = static_cast<std::uint8_t>(0xff00U >> rest);
  return ((a.bytes()[whole] ^ b.bytes()[whole]) & mask) == 0;
}

}  // namespace

IpAddress IpAddress::v4(std::uint32_t host_order) noexcept {
  IpAddress ip;
  for (unsigned i = 0; i < 4; ++i)
    ip.bytes_[i] = static_cast<std::uint8_t>(host_order >> (24 - 8 * i));
  return ip;
}

IpAddress IpAddress::v6(const std::array<std::uint8_t, 16>& bytes) noexcept {
  IpAddress ip;
  if (std::equal(kMappedPrefix.begin(), kMappedPrefix.end(), bytes.begin())) {
    std::copy(bytes.begin() + 12, bytes.end(), ip.bytes_.begin());
    return ip;
  }
  ip.v4_ = false;
  ip.bytes_ = bytes;
  return ip;
}

bool IpAddress::is_loopback() const noexcept {
  if (v4_) return bytes_[0] == 127;
  return bytes_[15] == 1 &&
         std::all_of(bytes_.begin(), bytes_.begin() + 15, [](std::uint8_t b) { return b == 0; });
}

bool IpAddress::is_unspecified() const noexcept {
  return std::all_of(bytes_.begin(), bytes_.end(), [](std::uint8_t b) { return b == 0; });
}

std::string IpAddress::to_string() const {
  char text[INET6_ADDRSTRLEN];
  ::inet_ntop(v4_ ? AF_INET : AF_INET6, bytes_.data(), text, sizeof text);
  return text;
}

socklen_t SocketAddress::to_sockaddr(sockaddr_storage& out) const noexcept {
  std::memset(&out, 0, sizeof out);
  if (ip.is_v4()) {
    sockaddr_in in{};
    in.sin_family = AF_INET;
    in.sin_port = htons(port);
    std::memcpy(&in.sin_addr, ip.bytes().data(), 4);
    std::memcpy(&out, &in, sizeof in);
    return sizeof in;
  }
  sockaddr_in6 in{};
  in.sin6_family = AF_INET6;
  in.sin6_port = htons(port);
  std::memcpy(&in.sin6_addr, ip.bytes().data(), 16);
  std::memcpy(&out, &in, sizeof in);
  return sizeof in;
}

Result<SocketAddress> SocketAddress::from_sockaddr(const sockaddr_storage& in) noexcept {
  if (in.ss_family == AF_INET) {
    sockaddr_in v4{};
    std::memcpy(&v4, &in, sizeof v4);
    return SocketAddress{IpAddress::v4(ntohl(v4.sin_addr.s_addr)), ntohs(v4.sin_port)};
  }
  if (in.ss_family == AF_INET6) {
    sockaddr_in6 v6{};
    std::memcpy(&v6, &in, sizeof v6);
    std::array<std::uint8_t, 16> bytes{};
    std::memcpy(bytes.data(), &v6.sin6_addr, 16);
    return SocketAddress{IpAddress::v6(bytes), ntohs(v6.sin6_port)};
  }
  return fail(Errc::unsupported, "from_sockaddr");
}

std::string SocketAddress::to_string() const {
  return ip.is_v4() ? fmt::format("{}:{}", ip.to_string(), port)
                    : fmt::format("[{}]:{}", ip.to_string(), port);
}

bool IpPrefix::contains(const IpAddress& ip) const noexcept {
  return ip.is_v4() == base.is_v4() && same_bits(ip, base, length);
}

bool IpPrefix::overlaps(const IpPrefix& other) const noexcept {
  return base.is_v4() == other.base.is_v4() &&
         same_bits(base, other.base, std::min(length, other.length));
}

std::string IpPrefix::to_string() const {
  return fmt::format("{}/{}", base.to_string(), length);
}

Result<sockaddr_un> unix_address(std::string_view path) noexcept {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) return fail(Errc::too_large, "path of a unix socket");
  std::copy(path.begin(), path.end(), address.sun_path);
  return address;
}

Result<std::uint16_t> parse_port(std::string_view text) noexcept {
  unsigned value = 0;
  for (const char c : text) {
    if (c < '0' || c > '9' || value > 65535) return fail(Errc::bad_input, "parse_port");
    value = value * 10 + static_cast<unsigned>(c - '0');
  }
  if (value == 0 || value > 65535) return fail(Errc::bad_input, "parse_port");
  return static_cast<std::uint16_t>(value);
}

Result<IpAddress> parse_ip(std::string_view text) noexcept {
  char terminated[INET6_ADDRSTRLEN + 1];
  if (text.empty() || text.size() > INET6_ADDRSTRLEN) return fail(Errc::bad_input, "parse_ip");
  std::memcpy(terminated, text.data(), text.size());
  terminated[text.size()] = '\0';
  in_addr v4{};
  if (::inet_pton(AF_INET, terminated, &v4) == 1) return IpAddress::v4(ntohl(v4.s_addr));
  std::array<std::uint8_t, 16> v6{};
  if (::inet_pton(AF_INET6, terminated, v6.data()) == 1) return IpAddress::v6(v6);
  return fail(Errc::bad_input, "parse_ip");
}

Result<SocketAddress> parse_socket_address(std::string_view text) noexcept {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return fail(Errc::bad_input, "parse_socket_address");
  std::string_view host = text.substr(0, colon);
  const bool bracketed = host.size() >= 2 && host.front() == '[' && host.back() == ']';
  if (bracketed) host = host.substr(1, host.size() - 2);
  if (!bracketed && host.find(':') != std::string_view::npos)
    return fail(Errc::bad_input, "parse_socket_address");
  const auto ip = parse_ip(host);
  if (!ip) return fail(ip.error());
  const auto port = parse_port(text.substr(colon + 1));
  if (!port) return fail(port.error());
  return SocketAddress{*ip, *port};
}

Result<IpPrefix> parse_prefix(std::string_view text) noexcept {
  const std::size_t slash = text.find('/');
  const auto ip = parse_ip(text.substr(0, slash));
  if (!ip) return fail(ip.error());
  const unsigned full = ip->is_v4() ? 32 : 128;
  unsigned length = full;
  if (slash != std::string_view::npos) {
    const std::string_view digits = text.substr(slash + 1);
    if (digits.empty() || digits.size() > 3) return fail(Errc::bad_input, "parse_prefix");
    length = 0;
    for (const char c : digits) {
      if (c < '0' || c > '9') return fail(Errc::bad_input, "parse_prefix");
      length = length * 10 + static_cast<unsigned>(c - '0');
    }
  }
  if (length > full) return fail(Errc::bad_input, "parse_prefix");
  for (unsigned bit = length; bit < full; ++bit) {
    if ((ip->bytes()[bit / 8] & (0x80U >> (bit % 8))) != 0)
      return fail(Errc::bad_input, "parse_prefix");
  }
  return IpPrefix{*ip, static_cast<std::uint8_t>(length)};
}

}  // namespace mooring

std::size_t std::hash<mooring::SocketAddress>::operator()(
    const mooring::SocketAddress& address) const noexcept {
  const std::string_view bytes(reinterpret_cast<const char*>(address.ip.bytes().data()), 16);
  return std::hash<std::string_view>{}(bytes) * 31 + address.port;
}
