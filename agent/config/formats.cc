#include "config/formats.h"

#include <sys/un.h>

#include <algorithm>
#include <charconv>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "config/nearest.h"
#include "core/escape.h"
#include "core/spiffe_text.h"

namespace mooring::config {

namespace {

constexpr std::size_t kMaxTextBytes = 4096;
constexpr std::size_t kMaxNameBytes = 63;
constexpr std::size_t kMaxPathBytes = 4095;
constexpr std::size_t kMaxServerNameBytes = 255;
constexpr std::size_t kMaxHostNameBytes =
    253;  // RFC 1035 §2.3.4, in presentation form without the last dot
constexpr std::size_t kMaxLabelBytes = 63;

struct Unit {
  std::string_view name;
  std::int64_t ms;
};
constexpr std::array<Unit, 4> kUnits{{{"h", 3'600'000}, {"m", 60'000}, {"s", 1000}, {"ms", 1}}};

tl::unexpected<Fault> fault(std::string message, std::string hint = {}) {
  return tl::unexpected(Fault{std::move(message), std::move(hint)});
}

bool is_alphanumeric(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

bool is_label(std::string_view label) {
  if (label.empty() || label.size() > kMaxLabelBytes || label.front() == '-' || label.back() == '-')
    return false;
  return std::all_of(label.begin(), label.end(), [](char c) {
    return is_alphanumeric(c) || c == '-' || c == '_';
  });
}

}  // namespace

std::string show_duration(Milliseconds duration) {
  if (duration.count() == 0) return "0s";
  for (const Unit& unit : kUnits) {
    if (duration.count() % unit.ms == 0)
      return fmt::format("{}{}", duration.count() / unit.ms, unit.name);
  }
  return "";
}

std::string quote(std::string_view text) {
  return fmt::format("\"{}\"", escape_peer_text(text, 100));
}

bool is_host_name(std::string_view text) noexcept {
  if (text.empty() || text.size() > kMaxHostNameBytes) return false;
  for (;;) {
    const std::size_t dot = text.find('.');
    const std::string_view label = text.substr(0, dot);
    if (!is_label(label)) return false;
    // A last label of digits only is a mistyped address (RFC 3696 §2).
    if (dot == std::string_view::npos) return !std::all_of(label.begin(), label.end(), is_digit);
    text.remove_prefix(dot + 1);
  }
}

bool is_resource_name(std::string_view text) noexcept {
  if (text.empty() || text.size() > kMaxHostNameBytes) return false;
  return std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || is_digit(c) || c == '-' || c == '.' || c == '_';
  });
}

bool is_dns_label(std::string_view text) noexcept {
  return is_label(text) && is_resource_name(text) && text.find('_') == std::string_view::npos;
}

namespace format {

namespace {

Parsed<std::int64_t> in_bounds(std::int64_t value, std::int64_t min, std::int64_t max) {
  if (value < min || value > max)
    return fault(fmt::format("is {}, out of range", value), fmt::format("from {} to {}", min, max));
  return value;
}

/// Why a text is neither an address nor a block; hints at the block with the host bits cleared.
Fault bad_prefix(const std::string& text) {
  const std::size_t slash = text.find('/');
  const auto ip = parse_ip(std::string_view(text).substr(0, slash));
  unsigned length = 0;
  const char* end = text.data() + text.size();
  const bool has_length = slash != std::string::npos && slash + 1 < text.size() &&
                          is_digit(text[slash + 1]) &&
                          std::from_chars(text.data() + slash + 1, end, length).ptr == end;
  if (!ip || !has_length || length > (ip->is_v4() ? 32U : 128U)) {
    return {fmt::format("has {}, which is no address or CIDR block", quote(text)),
            R"(write "10.0.0.5", "10.0.0.0/24" or "fd00::/64")"};
  }
  auto bytes = ip->bytes();
  for (unsigned bit = length; bit < 128; ++bit) {
    bytes[bit / 8] = static_cast<std::uint8_t>(bytes[bit / 8] & ~(0x80U >> (bit % 8)));
  }
  std::uint32_t v4 = 0;
  for (unsigned i = 0; i < 4; ++i)
    v4 = v4 << 8 | bytes[i];
  const IpAddress base = ip->is_v4() ? IpAddress::v4(v4) : IpAddress::v6(bytes);
  return {fmt::format("has {} with bits set beyond its length", quote(text)),
          fmt::format("write \"{}/{}\" for the block or \"{}\" for the one address",
                      base.to_string(),
                      length,
                      ip->to_string())};
}

/// "host", "host:port", "[ip]:port"; the port may be left out where there is a usual one.
std::optional<std::pair<std::string, std::uint16_t>> host_and_port(std::string_view text,
                                                                   std::uint16_t usual_port) {
  std::string_view host = text;
  std::string_view rest;
  if (text.starts_with('[')) {
    const std::size_t end = text.find(']');
    if (end == std::string_view::npos) return std::nullopt;
    host = text.substr(1, end - 1);
    rest = text.substr(end + 1);
    if (const auto ip = parse_ip(host); !ip || ip->is_v4()) return std::nullopt;
  } else {
    host = text.substr(0, text.find(':'));
    rest = text.substr(host.size());
    if (!is_host_name(host) && !parse_ip(host)) return std::nullopt;
  }
  if (rest.empty() && usual_port != 0) return std::pair(std::string(host), usual_port);
  if (!rest.starts_with(':')) return std::nullopt;
  const auto port = parse_port(rest.substr(1));
  return port ? std::optional(std::pair(std::string(host), *port)) : std::nullopt;
}

Parsed<SocketAddress> socket_address(const std::string& text) {
  const auto address = parse_socket_address(text);
  if (address) return *address;
  return fault(fmt::format("is {}, which is no address with a port", quote(text)),
               R"(write "10.0.0.5:5432" or "[fd00::5]:5432")");
}

}  // namespace

Parsed<std::string> Text::parse(const Value& value, const Bounds&) {
  if (value.text.size() > kMaxTextBytes)
    return fault("is too long", fmt::format("at most {} bytes", kMaxTextBytes));
  if (value.text.find_first_of(std::string_view("\0\r\n", 3)) != std::string::npos) {
    return fault("contains a line break or a zero byte");
  }
  return value.text;
}

Parsed<std::string> Name::parse(const Value& value, const Bounds&) {
  const std::string& text = value.text;
  const bool is_name = !text.empty() && text.size() <= kMaxNameBytes &&
                       is_alphanumeric(text.front()) &&
                       std::all_of(text.begin(), text.end(), [](char c) {
                         return is_alphanumeric(c) || c == '-' || c == '_' || c == '.';
                       });
  if (is_name) return text;
  return fault(fmt::format("is {}, which is no name", quote(text)),
               "letters, digits, '-', '_' and '.', at most 63, beginning with a letter or digit");
}

Parsed<std::string> Path::parse(const Value& value, const Bounds& bounds) {
  if (value.text.empty() || value.text.front() != '/') {
    return fault(fmt::format("is {}, which is not absolute", quote(value.text)),
                 "write the path from / on");
  }
  if (value.text.size() > kMaxPathBytes) return fault("is too long for a path");
  return Text::parse(value, bounds);
}

Parsed<std::string> SecretPath::parse(const Value& value, const Bounds& bounds) {
  constexpr std::string_view kCredential = "credential:";
  if (!value.text.starts_with(kCredential)) return Path::parse(value, bounds);
  const std::string_view name = std::string_view(value.text).substr(kCredential.size());
  const bool is_name = !name.empty() && name.size() <= kMaxNameBytes && name.front() != '.' &&
                       name.find_first_of("/ ") == std::string_view::npos;
  if (is_name) return Text::parse(value, bounds);
  return fault(fmt::format("is {}, which is no name of a credential", quote(value.text)),
               "write \"credential:NAME\" for LoadCredential=NAME:FILE of the unit");
}

Parsed<std::string> SocketPath::parse(const Value& value, const Bounds& bounds) {
  // One byte of sun_path is the terminating zero (unix(7)).
  if (value.text.size() >= sizeof(sockaddr_un{}.sun_path)) {
    return fault("is too long for a unix socket", "at most 107 bytes");
  }
  return Path::parse(value, bounds);
}

Parsed<std::string> TrustDomain::parse(const Value& value, const Bounds&) {
  if (is_trust_domain_text(value.text)) return value.text;
  const bool has_scheme = value.text.rfind(kSpiffeScheme, 0) == 0;
  return fault(fmt::format("is {}, which is no trust domain", quote(value.text)),
               has_scheme ? "write the domain alone, without spiffe://"
                          : "lower-case letters, digits, '.', '-' and '_', at most 255");
}

Parsed<std::string> ServerName::parse(const Value& value, const Bounds&) {
  // Not only host names: meshes put "service{mesh=default}" into SNI.
  const bool is_visible =
      std::all_of(value.text.begin(), value.text.end(), [](char c) { return c > ' ' && c < 0x7f; });
  if (is_visible && value.text.size() <= kMaxServerNameBytes) return value.text;
  return fault(fmt::format("is {}, which cannot be sent as a server name", quote(value.text)),
               "visible ASCII, at most 255 bytes");
}

Parsed<std::uint16_t> Port::parse(const Value& value, const Bounds&) {
  return in_bounds(value.integer, 1, 65535).map([](std::int64_t port) {
    return static_cast<std::uint16_t>(port);
  });
}

Parsed<std::uint32_t> Number::parse(const Value& value, const Bounds& bounds) {
  return in_bounds(value.integer, bounds.min, bounds.max).map([](std::int64_t number) {
    return static_cast<std::uint32_t>(number);
  });
}

Parsed<Milliseconds> Duration::parse(const Value& value, const Bounds& bounds) {
  std::int64_t count = 0;
  const char* begin = value.text.data();
  const char* end = begin + value.text.size();
  const auto [rest, error] = std::from_chars(begin, end, count);
  const std::string_view unit_name(rest, static_cast<std::size_t>(end - rest));
  const auto* unit = std::find_if(
      kUnits.begin(), kUnits.end(), [&](const Unit& known) { return known.name == unit_name; });
  // A year is beyond every bound here and keeps the product in range.
  constexpr std::int64_t kYearMs = 365LL * 24 * 3'600'000;
  if (error != std::errc() || unit == kUnits.end() || count < 0) {
    return fault(fmt::format("is {}, which is no duration", quote(value.text)),
                 "write a whole number and ms, s, m or h: \"100ms\", \"5s\", \"2m\", \"1h\"");
  }
  const Milliseconds duration(count > kYearMs / unit->ms ? kYearMs : count * unit->ms);
  if (duration.count() < bounds.min || duration.count() > bounds.max) {
    return fault(fmt::format("is {}, out of range", quote(value.text)),
                 fmt::format("from {} to {}",
                             show_duration(Milliseconds(bounds.min)),
                             show_duration(Milliseconds(bounds.max))));
  }
  return duration;
}

Parsed<std::optional<SocketAddress>> Listen::parse(const Value& value, const Bounds&) {
  return socket_address(value.text).map([](const SocketAddress& address) {
    return std::optional(address);
  });
}

Parsed<std::optional<SocketAddress>> Target::parse(const Value& value, const Bounds& bounds) {
  if (value.text == "host") return std::optional<SocketAddress>();
  return Listen::parse(value, bounds);
}

Parsed<std::optional<SocketAddress>> Metrics::parse(const Value& value, const Bounds& bounds) {
  if (value.text == "off") return std::optional<SocketAddress>();
  return Listen::parse(value, bounds);
}

Parsed<std::string> ResourceName::parse(const Value& value, const Bounds&) {
  if (is_resource_name(value.text)) return value.text;
  return fault(fmt::format("is {}, which is no name of a resource", quote(value.text)),
               "small letters, digits, '-', '.' and '_', at most 253");
}

Parsed<std::string> WorkloadName::parse(const Value& value, const Bounds&) {
  if (is_dns_label(value.text)) return value.text;
  return fault(fmt::format("is {}, which is no name of a workload", quote(value.text)),
               "small letters, digits and '-', at most 63, a letter or digit at both ends");
}

Parsed<ControlPlaneAddress> ControlPlaneUrl::parse(const Value& value, const Bounds&) {
  constexpr std::string_view kScheme = "https://";
  constexpr std::uint16_t kUsualPort = 5678;  // of Kuma's dp-server
  std::string_view text = value.text;
  if (!text.starts_with(kScheme)) {
    return fault(fmt::format("has {}, which is not https://", quote(text)),
                 "a control plane answers over TLS only: \"https://cp.example:5678\"");
  }
  text.remove_prefix(kScheme.size());
  if (text.ends_with('/')) text.remove_suffix(1);
  if (const auto found = host_and_port(text, kUsualPort))
    return ControlPlaneAddress{found->first, found->second};
  return fault(fmt::format("has {}, which is no address of a control plane", quote(value.text)),
               R"(write "https://cp.example:5678" or "https://[fd00::5]:5678", without a path)");
}

Parsed<std::optional<ControlPlaneProxy>> ProxyUrl::parse(const Value& value, const Bounds&) {
  constexpr std::string_view kScheme = "http://";
  std::string_view text = value.text;
  ControlPlaneProxy proxy;
  if (text.starts_with(kScheme)) {
    text.remove_prefix(kScheme.size());
    if (text.ends_with('/')) text.remove_suffix(1);
    if (const std::size_t at = text.rfind('@'); at != std::string_view::npos) {
      proxy.credentials = text.substr(0, at);
      text.remove_prefix(at + 1);
    }
    if (const auto found = host_and_port(text, 0)) {
      proxy.host = found->first;
      proxy.port = found->second;
      return proxy;
    }
  }
  // Not quoted: there may be a password in it.
  return fault("is no URL of a proxy", "write \"http://proxy.example:3128\"");
}

std::string ProxyUrl::show(const Type& value) {
  return value ? fmt::format("http://{}:{}", value->host, value->port) : "";
}

Parsed<std::optional<IpAddress>> Ip::parse(const Value& value, const Bounds&) {
  const auto ip = parse_ip(value.text);
  if (ip && !ip->is_unspecified() && !ip->is_loopback()) return *ip;
  return fault(fmt::format("is {}, which is no address that other hosts reach", quote(value.text)),
               R"(write "10.0.0.5" or "fd00::5")");
}

Parsed<SpiffePattern> Pattern::parse(const Value& value, const Bounds&) {
  std::string_view text = value.text;
  const bool is_prefix = text.size() > 2 && text.substr(text.size() - 2) == "/*";
  if (is_prefix) text.remove_suffix(2);
  if (is_spiffe_id(text))
    return SpiffePattern{std::string(text) + (is_prefix ? "/" : ""), is_prefix};
  return fault(fmt::format("has {}, which is no SPIFFE ID", quote(value.text)),
               text.find('*') != std::string_view::npos
                   ? "'*' stands only at the end, after a '/': \"spiffe://domain/team/*\""
                   : "write \"spiffe://domain/path\", with /* at the end for all below");
}

Parsed<IpPrefix> Prefix::parse(const Value& value, const Bounds&) {
  const auto prefix = parse_prefix(value.text);
  if (prefix) return *prefix;
  return tl::unexpected(bad_prefix(value.text));
}

Parsed<Destination> Dialled::parse(const Value& value, const Bounds&) {
  if (const auto prefix = parse_prefix(value.text)) return Destination{*prefix, ""};
  if (is_host_name(value.text)) return Destination{std::nullopt, value.text};
  return tl::unexpected(bad_prefix(value.text));
}

Parsed<EndpointAddress> Endpoint::parse(const Value& value, const Bounds&) {
  if (const auto address = parse_socket_address(value.text))
    return EndpointAddress{*address, "", 0};
  const std::string_view text = value.text;
  const std::size_t colon = text.find(':');
  const std::string_view host = text.substr(0, colon);
  if (colon != std::string_view::npos && is_host_name(host)) {
    if (const auto port = parse_port(text.substr(colon + 1))) {
      return EndpointAddress{std::nullopt, std::string(host), *port};
    }
  }
  return fault(fmt::format("has {}, which is no endpoint", quote(text)),
               R"(write "10.0.0.3:5432", "[fd00::3]:5432" or "db.example:5432")");
}

std::string join_words(std::span<const std::string_view> words) {
  return fmt::format("\"{}\"", fmt::join(words, "\", \""));
}

Fault not_a_word(std::string_view text, std::span<const std::string_view> words) {
  const std::string_view near = nearest(text, words);
  return {fmt::format("is {}, which is not known", quote(text)),
          near.empty() ? "one of " + join_words(words) : fmt::format("did you mean \"{}\"?", near)};
}

}  // namespace format

}  // namespace mooring::config
