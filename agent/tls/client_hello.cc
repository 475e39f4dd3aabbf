#include "tls/client_hello.h"

#include <algorithm>
#include <optional>
#include <string_view>
#include <vector>

namespace mooring::tls {

namespace {

constexpr std::uint8_t kHandshake = 22;   // RFC 8446 §5.1
constexpr std::uint8_t kClientHello = 1;  // RFC 8446 §4
constexpr std::size_t kRecordHeader = 5;
constexpr std::size_t kMessageHeader = 4;
constexpr std::size_t kMaxRecord = std::size_t{16} * 1024;
constexpr std::size_t kMaxMessage = std::size_t{16} * 1024;
constexpr unsigned kServerName = 0;          // RFC 6066 §3
constexpr unsigned kAlpn = 16;               // RFC 7301 §3.1
constexpr unsigned kSupportedVersions = 43;  // RFC 8446 §4.2.1
constexpr unsigned kTls13 = 0x0304;
constexpr std::size_t kMaxServerName = 255;

/// Takes fields off the front; once a field is not there, everything after it is not there either.
class Reader {
 public:
  explicit Reader(Bytes bytes) noexcept : bytes_(bytes) {}

  [[nodiscard]] bool ok() const noexcept { return ok_; }
  [[nodiscard]] bool empty() const noexcept { return bytes_.empty(); }
  Bytes take(std::size_t count) noexcept {
    if (count > bytes_.size()) {
      ok_ = false;
      bytes_ = {};
      return {};
    }
    const Bytes taken = bytes_.first(count);
    bytes_ = bytes_.subspan(count);
    return taken;
  }
  unsigned number(std::size_t width) noexcept {
    unsigned value = 0;
    for (const std::byte byte : take(width))
      value = value << 8 | std::to_integer<unsigned>(byte);
    return value;
  }
  /// A vector: its length in `width` bytes, then itself.
  Reader vector(std::size_t width) noexcept {
    const std::size_t length = number(width);
    return Reader(take(length));
  }
  [[nodiscard]] std::string_view text() const noexcept {
    return {reinterpret_cast<const char*>(bytes_.data()), bytes_.size()};
  }

 private:
  Bytes bytes_;
  bool ok_ = true;
};

struct Assembled {
  FirstBytes kind = FirstBytes::need_more;
  std::vector<std::byte> message;
};

bool is_record_header(Bytes seen) noexcept {
  const auto byte = [&](std::size_t i) { return std::to_integer<unsigned>(seen[i]); };
  if (byte(0) != kHandshake) return false;
  if (seen.size() > 1 && byte(1) != 3) return false;  // every TLS there is says 3.x here
  if (seen.size() > 2 && byte(2) > 4) return false;
  if (seen.size() < kRecordHeader) return true;
  const std::size_t length = byte(3) << 8 | byte(4);
  return length > 0 && length <= kMaxRecord;
}

// Length that the message header announces, when the header is there and is that of a ClientHello
// we would read.
std::optional<std::size_t> message_length(const std::vector<std::byte>& message,
                                          bool& refused) noexcept {
  refused = !message.empty() && std::to_integer<unsigned>(message[0]) != kClientHello;
  if (refused || message.size() < kMessageHeader) return std::nullopt;
  Reader header(Bytes(message).subspan(1));
  const std::size_t length = header.number(3);
  refused = length > kMaxMessage;
  return refused ? std::nullopt : std::optional(kMessageHeader + length);
}

// Joins the payloads of the records until the message is whole.
Assembled assemble(Bytes bytes) {
  Assembled result;
  while (!bytes.empty()) {
    if (!is_record_header(bytes)) return {FirstBytes::not_tls, {}};
    if (bytes.size() < kRecordHeader) return result;
    const std::size_t length =
        std::to_integer<std::size_t>(bytes[3]) << 8 | std::to_integer<std::size_t>(bytes[4]);
    bytes = bytes.subspan(kRecordHeader);
    const Bytes payload = bytes.first(std::min(length, bytes.size()));
    bytes = bytes.subspan(payload.size());
    result.message.insert(result.message.end(), payload.begin(), payload.end());
    bool refused = false;
    const auto whole = message_length(result.message, refused);
    if (refused) return {FirstBytes::not_tls, {}};
    if (whole && result.message.size() >= *whole) {
      result.kind = FirstBytes::client_hello;
      result.message.resize(*whole);
      return result;
    }
  }
  return result;
}

bool is_host_name_byte(char c) noexcept {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '.' || c == '_';
}

void read_server_name(Reader extension, ClientHello& hello) {
  Reader names = extension.vector(2);
  if (names.number(1) != 0) return;  // host_name
  const Reader name = names.vector(2);
  const std::string_view text = name.text();
  if (!names.ok() || text.size() > kMaxServerName) return;
  if (std::all_of(text.begin(), text.end(), is_host_name_byte)) hello.sni = text;
}

void read_alpn(Reader extension, ClientHello& hello) {
  Reader protocols = extension.vector(2);
  while (!protocols.empty()) {
    const Reader protocol = protocols.vector(1);
    if (!protocols.ok()) return;
    hello.alpn.emplace_back(protocol.text());
    if (protocol.text() == "kuma") hello.is_mesh = true;
  }
}

void read_versions(Reader extension, ClientHello& hello) {
  Reader versions = extension.vector(1);
  while (!versions.empty()) {
    if (versions.number(2) == kTls13) hello.offers_tls13 = true;
  }
}

// RFC 8446 §4.1.2
bool read_hello(Bytes message, ClientHello& hello) {
  Reader body(message.subspan(kMessageHeader));
  body.take(2 + 32);  // legacy_version, random
  body.vector(1);     // legacy_session_id
  body.vector(2);     // cipher_suites
  body.vector(1);     // legacy_compression_methods
  if (!body.ok()) return false;
  if (body.empty()) return true;  // TLS 1.2 without extensions
  Reader extensions = body.vector(2);
  if (!body.ok() || !body.empty()) return false;
  while (!extensions.empty()) {
    const unsigned type = extensions.number(2);
    const Reader extension = extensions.vector(2);
    if (!extensions.ok()) return false;
    if (type == kServerName) read_server_name(extension, hello);
    if (type == kAlpn) read_alpn(extension, hello);
    if (type == kSupportedVersions) read_versions(extension, hello);
  }
  return true;
}

}  // namespace

ClientHello inspect_client_hello(Bytes bytes) {
  ClientHello hello;
  const Assembled assembled = assemble(bytes.first(std::min(bytes.size(), kMaxClientHelloBytes)));
  hello.kind = assembled.kind;
  if (assembled.kind == FirstBytes::client_hello && !read_hello(assembled.message, hello)) {
    return {FirstBytes::not_tls, false, {}, false, {}};
  }
  // More than a ClientHello may take, and still none: it is made of tiny records, and not by a mesh
  // peer.
  if (assembled.kind == FirstBytes::need_more && bytes.size() >= kMaxClientHelloBytes)
    hello.kind = FirstBytes::not_tls;
  return hello;
}

}  // namespace mooring::tls
