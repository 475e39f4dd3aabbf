#include "app/system_listener.h"

#include <algorithm>
#include <utility>

#include "proxy/tls_options.h"
#include "snapshot/transports.h"

namespace mooring::app {

namespace {

tl::unexpected<Diagnostic> broken(const discovery::SystemListener& listener, std::string message) {
  return fail(Diagnostic{listener.name, std::move(message), ""});
}

// The others' texts need not be read for it.
std::vector<snapshot::Secret> secrets_of(const snapshot::TlsContext& tls,
                                         const snapshot::Resources& resources) {
  std::vector<snapshot::Secret> secrets;
  for (const snapshot::Secret& secret : resources.secrets) {
    const bool is_named = std::holds_alternative<snapshot::TlsCertificate>(secret.value)
                              ? secret.name == tls.certificate
                              : std::holds_alternative<snapshot::TrustedCa>(secret.value) &&
                                    secret.name == tls.validation;
    if (is_named) secrets.push_back(secret);
  }
  return secrets;
}

bool is_regex(const snapshot::SubjectAltNameMatcher& name) {
  return name.matcher.kind == snapshot::StringMatcher::Kind::safe_regex;
}

}  // namespace

Checked<std::shared_ptr<const admin::TlsIdentity>> make_tls_identity(
    const discovery::SystemListener& listener,
    const snapshot::Resources& resources,
    tls::Scratch& scratch,
    const Clock& clock) {
  if (!listener.tls) return broken(listener, "has no TLS");
  const snapshot::TlsContext& tls = *listener.tls;
  if (tls.peer_names.empty()) return broken(listener, "does not say who its clients are");
  if (std::any_of(tls.peer_names.begin(), tls.peer_names.end(), is_regex))
    return broken(listener, "asks for its clients by a regular expression");
  snapshot::Built built;
  snapshot::Transports transports(secrets_of(tls, resources), nullptr, built);
  if (!built.rejected.empty()) return broken(listener, built.rejected.front().reason);
  auto transport = transports.make(&tls, true);
  if (!transport) return broken(listener, transport.error().message);
  if (!transport->part) return broken(listener, "has no certificate, or no CA for its clients");
  auto context = proxy::make_context(*transport->part, scratch, clock);
  if (!context) return broken(listener, describe(context.error()));
  auto identity = std::make_shared<admin::TlsIdentity>();
  identity->context = std::move(*context);
  identity->clients = std::move(transport->peer_names);
  return identity;
}

}  // namespace mooring::app
