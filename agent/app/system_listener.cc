#include "app/system_listener.h"

#include <algorithm>
#include <utility>

namespace mooring::app {

namespace {

using identity::NameMatcher;

tl::unexpected<Diagnostic> broken(const discovery::SystemListener& listener, std::string message) {
  return fail(Diagnostic{listener.name, std::move(message), ""});
}

template <class Value>
const Value* find_secret(const snapshot::Resources& resources, const std::string& name) {
  const auto found = std::find_if(resources.secrets.begin(),
                                  resources.secrets.end(),
                                  [&](const auto& secret) { return secret.name == name; });
  return found == resources.secrets.end() ? nullptr : std::get_if<Value>(&found->value);
}

identity::NameType type_of(snapshot::SubjectAltNameMatcher::Type type) {
  using Type = snapshot::SubjectAltNameMatcher::Type;
  switch (type) {
    case Type::uri:
      return identity::NameType::uri;
    case Type::dns:
      return identity::NameType::dns;
    case Type::ip_address:
      return identity::NameType::ip_address;
    case Type::email:
      return identity::NameType::email;
  }
  return identity::NameType::uri;
}

std::optional<NameMatcher::Kind> kind_of(snapshot::StringMatcher::Kind kind) {
  using Kind = snapshot::StringMatcher::Kind;
  switch (kind) {
    case Kind::exact:
      return NameMatcher::Kind::exact;
    case Kind::prefix:
      return NameMatcher::Kind::prefix;
    case Kind::suffix:
      return NameMatcher::Kind::suffix;
    case Kind::contains:
      return NameMatcher::Kind::contains;
    case Kind::safe_regex:
      return std::nullopt;
  }
  return std::nullopt;
}

}  // namespace

Checked<std::shared_ptr<const admin::TlsIdentity>> make_tls_identity(
    const discovery::SystemListener& listener,
    const snapshot::Resources& resources,
    tls::Scratch& scratch,
    const Clock& clock) {
  if (!listener.tls) return broken(listener, "has no TLS");
  const auto* certificate =
      find_secret<snapshot::TlsCertificate>(resources, listener.tls->certificate);
  const auto* ca = find_secret<snapshot::TrustedCa>(resources, listener.tls->validation);
  if (certificate == nullptr || ca == nullptr)
    return broken(listener, "has no certificate, or no CA for its clients");
  auto presented = identity::build_presented(certificate->chain_pem, certificate->key_pem);
  if (!presented) return fail(presented.error());
  auto trusted = identity::build_trusted_any(ca->pem);
  if (!trusted) return fail(trusted.error());
  auto identity = std::make_shared<admin::TlsIdentity>();
  for (const snapshot::SubjectAltNameMatcher& wanted : listener.tls->peer_names) {
    const auto kind = kind_of(wanted.matcher.kind);
    if (!kind) return broken(listener, "asks for its clients by a regular expression");
    NameMatcher matcher;
    matcher.type = type_of(wanted.type);
    matcher.kind = *kind;
    matcher.text = wanted.matcher.text;
    matcher.ignore_case = wanted.matcher.ignore_case;
    identity->clients.push_back(std::move(matcher));
  }
  if (identity->clients.empty()) return broken(listener, "does not say who its clients are");
  auto context = tls::Context::make(
      tls::Role::server, identity::pair_material(*presented, *trusted), {}, scratch, clock);
  if (!context) return broken(listener, describe(context.error()));
  identity->context = std::move(*context);
  return identity;
}

}  // namespace mooring::app
