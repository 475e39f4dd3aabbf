// Transport sockets and secrets: envoy.extensions.transport_sockets.tls.v3.
#include "discovery/decode_parts.h"

namespace mooring::discovery {

namespace {

constexpr std::string_view kSpiffeValidator = "envoy.tls.cert_validator.spiffe";
constexpr int kMaxPeerNames = 1024;
constexpr int kMaxTrustDomains = 256;

// ---- where secrets come from

std::string decode_sds(Reader& reader,
                       std::string_view field,
                       const tls_v3::SdsSecretConfig& message) {
  const In in(reader, field, message);
  std::string name = read_resource_name(reader, "name", message.name());
  const core_v3::ConfigSource& source = message.sds_config();
  const In config(reader, "sds_config", source);
  switch (source.config_source_specifier_case()) {
    case core_v3::ConfigSource::kAds: {
      const In ads(reader, "ads", source.ads());
      return name;
    }
    case core_v3::ConfigSource::kApiConfigSource: {
      const core_v3::ApiConfigSource& api = source.api_config_source();
      const In other(reader, "api_config_source", api);
      if (api.api_type() != core_v3::ApiConfigSource::GRPC || api.grpc_services_size() != 1) {
        reader.reject("", "is not one gRPC service of SDS");
        return {};
      }
      const In service(reader, "grpc_services", 0, api.grpc_services(0));
      const In grpc(reader, "envoy_grpc", api.grpc_services(0).envoy_grpc());
      const std::string cluster = read_resource_name(
          reader, "cluster_name", api.grpc_services(0).envoy_grpc().cluster_name());
      if (cluster.find('/') != std::string::npos) reader.reject("cluster_name", "has a /");
      return std::string(kSdsSecret) + cluster + "/" + name;
    }
    case core_v3::ConfigSource::CONFIG_SOURCE_SPECIFIER_NOT_SET:
      reader.reject("", "names no source that this agent has");
      break;
  }
  return {};
}

std::string inline_name(const Reader& reader, TlsScope scope, std::string_view what) {
  std::string name(kInlineSecret);
  name += scope.owner;
  name += '/';
  name += reader.path();
  name += '/';
  return name += what;
}

snapshot::TlsCertificate decode_certificate(Reader& reader, const tls_v3::TlsCertificate& message) {
  return {read_data(reader, "certificate_chain", message.certificate_chain(), kMaxPemBytes),
          read_data(reader, "private_key", message.private_key(), kMaxPemBytes)};
}

snapshot::SpiffeBundles decode_spiffe(Reader& reader,
                                      const core_v3::TypedExtensionConfig& extension) {
  snapshot::SpiffeBundles out;
  const In in(reader, "custom_validator_config", extension);
  tls_v3::SPIFFECertValidatorConfig message;
  if (extension.name() != kSpiffeValidator ||
      type_name(extension.typed_config()) != message.GetTypeName()) {
    reader.reject("", "is a validator that this agent does not have");
    return out;
  }
  const In any(reader, "typed_config", extension.typed_config());
  if (!reader.parse(extension.typed_config().value(), message)) return out;
  const In config(reader, "", message);
  if (!reader.within("trust_domains", message.trust_domains_size(), kMaxTrustDomains)) return out;
  for (int i = 0; i < message.trust_domains_size(); ++i) {
    const auto& domain = message.trust_domains(i);
    const In one(reader, "trust_domains", i, domain);
    std::string bundle = read_data(reader, "trust_bundle", domain.trust_bundle(), kMaxPemBytes);
    const std::string name = read_name(reader, "name", domain.name());
    if (!out.pem_by_trust_domain.emplace(name, std::move(bundle)).second)
      reader.reject("name", "is there twice");
  }
  if (out.pem_by_trust_domain.empty()) reader.reject("trust_domains", "is empty");
  return out;
}

// ---- what a peer has to be

std::optional<snapshot::SubjectAltNameMatcher::Type> san_type(
    tls_v3::SubjectAltNameMatcher::SanType type) {
  using Type = snapshot::SubjectAltNameMatcher::Type;
  switch (type) {
    case tls_v3::SubjectAltNameMatcher::URI:
      return Type::uri;
    case tls_v3::SubjectAltNameMatcher::DNS:
      return Type::dns;
    case tls_v3::SubjectAltNameMatcher::IP_ADDRESS:
      return Type::ip_address;
    case tls_v3::SubjectAltNameMatcher::EMAIL:
      return Type::email;
    default:
      return std::nullopt;
  }
}

std::vector<snapshot::SubjectAltNameMatcher> decode_peer_names(
    Reader& reader, const tls_v3::CertificateValidationContext& message) {
  constexpr std::string_view kField = "match_typed_subject_alt_names";
  std::vector<snapshot::SubjectAltNameMatcher> out;
  if (!reader.within(kField, message.match_typed_subject_alt_names_size(), kMaxPeerNames))
    return out;
  for (int i = 0; i < message.match_typed_subject_alt_names_size(); ++i) {
    const auto& entry = message.match_typed_subject_alt_names(i);
    const In in(reader, kField, i, entry);
    const auto type = san_type(entry.san_type());
    if (!type) reader.reject("san_type", "is not URI, DNS, IP_ADDRESS or EMAIL");
    snapshot::StringMatcher matcher = read_matcher(reader, "matcher", entry.matcher());
    out.push_back({type.value_or(snapshot::SubjectAltNameMatcher::Type::uri), std::move(matcher)});
  }
  return out;
}

bool has_anchors(const tls_v3::CertificateValidationContext& message) {
  return message.has_trusted_ca() || message.has_custom_validator_config();
}

/// Of a message that has_anchors().
void decode_anchors(Reader& reader,
                    const tls_v3::CertificateValidationContext& message,
                    snapshot::Secret& out) {
  if (message.has_trusted_ca() && message.has_custom_validator_config())
    reader.reject("custom_validator_config", "and trusted_ca exclude each other here");
  if (message.has_custom_validator_config()) {
    out.value = decode_spiffe(reader, message.custom_validator_config());
  } else {
    out.value =
        snapshot::TrustedCa{read_data(reader, "trusted_ca", message.trusted_ca(), kMaxPemBytes)};
  }
}

// ---- contexts

void decode_own_certificate(Reader& reader,
                            const tls_v3::CommonTlsContext& message,
                            TlsScope scope,
                            snapshot::TlsContext& out) {
  const int of_sds = message.tls_certificate_sds_secret_configs_size();
  const int inside = message.tls_certificates_size();
  if (of_sds + inside > 1) reader.reject("", "has several certificates");
  if (of_sds > 0) {
    out.certificate = decode_sds(reader,
                                 "tls_certificate_sds_secret_configs[0]",
                                 message.tls_certificate_sds_secret_configs(0));
  } else if (inside > 0) {
    out.certificate = inline_name(reader, scope, "certificate");
    const In in(reader, "tls_certificates", 0, message.tls_certificates(0));
    scope.secrets.push_back(
        {out.certificate, decode_certificate(reader, message.tls_certificates(0)), {}});
  }
}

void decode_combined(Reader& reader,
                     const tls_v3::CommonTlsContext::CombinedCertificateValidationContext& combined,
                     snapshot::TlsContext& out) {
  const In in(reader, "combined_validation_context", combined);
  out.validation = decode_sds(reader,
                              "validation_context_sds_secret_config",
                              combined.validation_context_sds_secret_config());
  const In base(reader, "default_validation_context", combined.default_validation_context());
  if (has_anchors(combined.default_validation_context()))
    reader.reject("", "has anchors of its own beside those of the secret");
  out.peer_names = decode_peer_names(reader, combined.default_validation_context());
}

void decode_validation(Reader& reader,
                       const tls_v3::CommonTlsContext& message,
                       TlsScope scope,
                       snapshot::TlsContext& out) {
  switch (message.validation_context_type_case()) {
    case tls_v3::CommonTlsContext::kValidationContextSdsSecretConfig:
      out.validation = decode_sds(reader,
                                  "validation_context_sds_secret_config",
                                  message.validation_context_sds_secret_config());
      return;
    case tls_v3::CommonTlsContext::kCombinedValidationContext:
      return decode_combined(reader, message.combined_validation_context(), out);
    case tls_v3::CommonTlsContext::kValidationContext: {
      const tls_v3::CertificateValidationContext& context = message.validation_context();
      const std::string name = inline_name(reader, scope, "validation");
      const In in(reader, "validation_context", context);
      out.peer_names = decode_peer_names(reader, context);
      if (!has_anchors(context)) {
        if (!out.peer_names.empty()) reader.reject("trusted_ca", "is missing");
        return;
      }
      out.validation = name;
      scope.secrets.push_back({name, {}, {}});
      return decode_anchors(reader, context, scope.secrets.back());
    }
    case tls_v3::CommonTlsContext::VALIDATION_CONTEXT_TYPE_NOT_SET:
      return;
  }
}

snapshot::TlsContext decode_common(Reader& reader,
                                   const tls_v3::CommonTlsContext& message,
                                   TlsScope scope) {
  snapshot::TlsContext out;
  const In in(reader, "common_tls_context", message);
  if (message.has_tls_params())
    out.parameters = decode_tls_parameters(reader, message.tls_params());
  decode_own_certificate(reader, message, scope, out);
  decode_validation(reader, message, scope, out);
  if (!reader.within("alpn_protocols", message.alpn_protocols_size(), 16)) return out;
  for (const std::string& protocol : message.alpn_protocols()) {
    if (protocol.empty() || protocol.size() > 255)
      reader.reject("alpn_protocols", "has one that is empty or longer than 255 bytes");
    out.alpn.push_back(protocol);
  }
  return out;
}

enum class Socket : std::uint8_t { raw, tls };

/// Whether it is TLS with a context of type `context`.
Socket socket_of(Reader& reader, const core_v3::TransportSocket& socket, std::string_view context) {
  const std::string_view type = type_name(socket.typed_config());
  if (type == context) return Socket::tls;
  if (type != "envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer") {
    reader.reject("typed_config", "is neither raw_buffer nor " + std::string(context));
  } else {
    reader.check_unknown(type, socket.typed_config().value());
  }
  return Socket::raw;
}

}  // namespace

std::optional<snapshot::TlsContext> decode_upstream_socket(Reader& reader,
                                                           const core_v3::TransportSocket& socket,
                                                           TlsScope scope) {
  tls_v3::UpstreamTlsContext message;
  if (socket_of(reader, socket, message.GetTypeName()) == Socket::raw) return std::nullopt;
  const In any(reader, "typed_config", socket.typed_config());
  if (!reader.parse(socket.typed_config().value(), message)) return std::nullopt;
  const In in(reader, "", message);
  snapshot::TlsContext out = decode_common(reader, message.common_tls_context(), scope);
  out.sni = read_text(reader, "sni", message.sni(), 255);
  return out;
}

std::optional<snapshot::TlsContext> decode_downstream_socket(Reader& reader,
                                                             const core_v3::TransportSocket& socket,
                                                             TlsScope scope) {
  tls_v3::DownstreamTlsContext message;
  if (socket_of(reader, socket, message.GetTypeName()) == Socket::raw) return std::nullopt;
  const In any(reader, "typed_config", socket.typed_config());
  if (!reader.parse(socket.typed_config().value(), message)) return std::nullopt;
  const In in(reader, "", message);
  snapshot::TlsContext out = decode_common(reader, message.common_tls_context(), scope);
  out.require_client_certificate =
      message.has_require_client_certificate() &&
      read_bool(reader, "require_client_certificate", message.require_client_certificate());
  out.parameters.resumption = !message.disable_stateless_session_resumption();
  if (out.certificate.empty()) reader.reject("common_tls_context", "has no certificate");
  if (out.require_client_certificate && out.validation.empty())
    reader.reject("require_client_certificate", "is set, and nothing would verify it");
  if (!out.alpn.empty())
    reader.reject("common_tls_context.alpn_protocols", "of a server is not supported");
  return out;
}

snapshot::Secret decode_secret(Reader& reader, const tls_v3::Secret& message) {
  snapshot::Secret out;
  const In in(reader, "", message);
  out.name = read_resource_name(reader, "name", message.name());
  switch (message.type_case()) {
    case tls_v3::Secret::kTlsCertificate: {
      const In certificate(reader, "tls_certificate", message.tls_certificate());
      out.value = decode_certificate(reader, message.tls_certificate());
      break;
    }
    case tls_v3::Secret::kValidationContext: {
      const tls_v3::CertificateValidationContext& context = message.validation_context();
      const In validation(reader, "validation_context", context);
      out.peer_names = decode_peer_names(reader, context);
      if (has_anchors(context)) {
        decode_anchors(reader, context, out);
      } else {
        reader.reject("trusted_ca", "is missing");
      }
      break;
    }
    case tls_v3::Secret::TYPE_NOT_SET:
      reader.reject("", "is neither a certificate nor a validation context");
      break;
  }
  return out;
}

}  // namespace mooring::discovery
