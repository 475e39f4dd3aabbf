// Versions, suites and groups: envoy.extensions.transport_sockets.tls.v3.TlsParameters.
#include <algorithm>
#include <array>

#include "discovery/decode_parts.h"

namespace mooring::discovery {

namespace {

using config::TlsVersion;

constexpr int kMaxCiphers = 64;
constexpr int kMaxGroups = 16;

struct Cipher {
  std::string_view envoy;  // OpenSSL's and BoringSSL's name
  std::string_view iana;
};

// What the agent speaks of TLS 1.2. The suites of TLS 1.3 are not chosen by configuration in Envoy.
constexpr std::array kCiphers{
    Cipher{"ECDHE-ECDSA-AES128-GCM-SHA256", "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"},
    Cipher{"ECDHE-RSA-AES128-GCM-SHA256", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"},
    Cipher{"ECDHE-ECDSA-AES256-GCM-SHA384", "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"},
    Cipher{"ECDHE-RSA-AES256-GCM-SHA384", "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384"},
    Cipher{"ECDHE-ECDSA-CHACHA20-POLY1305", "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256"},
    Cipher{"ECDHE-RSA-CHACHA20-POLY1305", "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256"},
};
constexpr std::array<std::string_view, 3> kTls13Ciphers{
    "TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"};
constexpr std::array<std::string_view, 4> kGroups{"X25519", "P-256", "P-384", "P-521"};

/// "[A|B]" are of equal preference in Envoy: the order within is as good as any.
void add_cipher(Reader& reader, std::string_view name, std::vector<std::string>& out) {
  const auto* known = std::find_if(
      kCiphers.begin(), kCiphers.end(), [&](const Cipher& c) { return c.envoy == name; });
  if (known != kCiphers.end()) {
    out.emplace_back(known->iana);
  } else {
    reader.warn("cipher_suites", std::string(name) + " is left out: this agent does not speak it");
  }
}

std::vector<std::string> decode_ciphers(Reader& reader, const tls_v3::TlsParameters& message) {
  std::vector<std::string> out;
  if (!reader.within("cipher_suites", message.cipher_suites_size(), kMaxCiphers)) return out;
  for (const std::string& entry : message.cipher_suites()) {
    const std::string text = read_text(reader, "cipher_suites", entry);
    std::string_view rest = text;
    if (rest.starts_with('[')) rest.remove_prefix(1);
    if (rest.ends_with(']')) rest.remove_suffix(1);
    while (!rest.empty()) {
      const std::size_t bar = std::min(rest.find('|'), rest.size());
      add_cipher(reader, rest.substr(0, bar), out);
      rest.remove_prefix(std::min(bar + 1, rest.size()));
    }
  }
  if (out.empty() && message.cipher_suites_size() > 0)
    reader.reject("cipher_suites", "has none that this agent speaks");
  // Ours list the suites of both versions.
  if (!out.empty()) out.insert(out.begin(), kTls13Ciphers.begin(), kTls13Ciphers.end());
  return out;
}

TlsVersion decode_min_version(Reader& reader, const tls_v3::TlsParameters& message) {
  switch (message.tls_minimum_protocol_version()) {
    case tls_v3::TlsParameters::TLS_AUTO:
    case tls_v3::TlsParameters::TLSv1_2:
      return TlsVersion::tls12;
    case tls_v3::TlsParameters::TLSv1_0:
    case tls_v3::TlsParameters::TLSv1_1:
      reader.warn("tls_minimum_protocol_version", "this agent speaks TLS 1.2 and newer only");
      return TlsVersion::tls12;
    case tls_v3::TlsParameters::TLSv1_3:
      return TlsVersion::tls13;
    default:  // of another program: protobuf's enums are open
      reader.reject("tls_minimum_protocol_version", "is not known to this agent");
      return TlsVersion::tls13;
  }
}

TlsVersion decode_max_version(Reader& reader, const tls_v3::TlsParameters& message) {
  switch (message.tls_maximum_protocol_version()) {
    case tls_v3::TlsParameters::TLS_AUTO:
    case tls_v3::TlsParameters::TLSv1_3:
      return TlsVersion::tls13;
    case tls_v3::TlsParameters::TLSv1_2:
      return TlsVersion::tls12;
    default:
      reader.reject("tls_maximum_protocol_version", "this agent speaks TLS 1.2 and newer only");
      return TlsVersion::tls13;
  }
}

}  // namespace

snapshot::TlsParameters decode_tls_parameters(Reader& reader,
                                              const tls_v3::TlsParameters& message) {
  snapshot::TlsParameters out;
  const In in(reader, "tls_params", message);
  out.min_version = decode_min_version(reader, message);
  out.max_version = decode_max_version(reader, message);
  if (out.min_version > out.max_version)
    reader.reject("tls_minimum_protocol_version", "is above the maximum");
  out.ciphers = decode_ciphers(reader, message);
  if (!reader.within("ecdh_curves", message.ecdh_curves_size(), kMaxGroups)) return out;
  for (const std::string& group : message.ecdh_curves()) {
    if (std::find(kGroups.begin(), kGroups.end(), group) != kGroups.end()) {
      out.groups.push_back(group);
    } else {
      reader.warn("ecdh_curves", "one is left out: this agent does not speak it");
    }
  }
  if (out.groups.empty() && message.ecdh_curves_size() > 0)
    reader.reject("ecdh_curves", "has none that this agent speaks");
  return out;
}

}  // namespace mooring::discovery
