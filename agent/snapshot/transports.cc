#include "snapshot/transports.h"

#include <algorithm>

namespace mooring::snapshot {

namespace {

/// Fills in what the texts hold.
class SecretReader {
 public:
  explicit SecretReader(SecretPart& part) : part_(part) {}

  Checked<void> operator()(const TlsCertificate& certificate) {
    auto presented = identity::build_presented(certificate.chain_pem, certificate.key_pem);
    if (!presented) return fail(presented.error());
    part_.presented = std::move(*presented);
    return {};
  }
  Checked<void> operator()(const SpiffeBundles& bundles) {
    return trust(identity::build_trusted(bundles.pem_by_trust_domain));
  }
  Checked<void> operator()(const TrustedCa& ca) {
    return trust(identity::build_trusted_any(ca.pem));
  }

 private:
  Checked<void> trust(Checked<identity::TrustedPtr> trusted) {
    if (!trusted) return fail(trusted.error());
    part_.trusted = std::move(*trusted);
    return {};
  }

  SecretPart& part_;
};

tl::unexpected<Diagnostic> refuse(const char* field, std::string why) {
  return fail(Diagnostic{field, std::move(why), ""});
}

identity::NameType type_of(SubjectAltNameMatcher::Type type) noexcept {
  switch (type) {
    case SubjectAltNameMatcher::Type::uri:
      return identity::NameType::uri;
    case SubjectAltNameMatcher::Type::dns:
      return identity::NameType::dns;
    case SubjectAltNameMatcher::Type::ip_address:
      return identity::NameType::ip_address;
    case SubjectAltNameMatcher::Type::email:
      return identity::NameType::email;
  }
  return identity::NameType::uri;
}

identity::NameMatcher::Kind kind_of(StringMatcher::Kind kind) noexcept {
  using Kind = identity::NameMatcher::Kind;
  switch (kind) {
    case StringMatcher::Kind::exact:
      return Kind::exact;
    case StringMatcher::Kind::prefix:
      return Kind::prefix;
    case StringMatcher::Kind::suffix:
      return Kind::suffix;
    case StringMatcher::Kind::contains:
      return Kind::contains;
    case StringMatcher::Kind::safe_regex:
      return Kind::regex;
  }
  return Kind::exact;
}

identity::NameMatcher matcher_of(const SubjectAltNameMatcher& name, const RegexesPtr& regexes) {
  identity::NameMatcher matcher;
  matcher.type = type_of(name.type);
  matcher.kind = kind_of(name.matcher.kind);
  matcher.text = name.matcher.text;
  matcher.ignore_case = name.matcher.ignore_case;
  if (matcher.kind == identity::NameMatcher::Kind::regex) {
    matcher.regex = [regexes, pattern = name.matcher.text](std::string_view text) {
      return regexes->matches(pattern, text);
    };
  }
  return matcher;
}

bool by_name(const SecretPtr& a, const SecretPtr& b) noexcept {
  return a->name < b->name;
}

SecretPtr old_secret(const Snapshot* previous, const std::string& name) {
  if (previous == nullptr) return nullptr;
  const auto found = std::find_if(previous->secrets.begin(),
                                  previous->secrets.end(),
                                  [&](const SecretPtr& secret) { return secret->name == name; });
  return found == previous->secrets.end() ? nullptr : *found;
}

}  // namespace

Transports::Transports(const std::vector<Secret>& secrets, const Snapshot* previous, Built& built)
    : previous_(previous) {
  for (const Secret& secret : secrets) {
    SecretPtr old = old_secret(previous, secret.name);
    if (old && static_cast<const Secret&>(*old) == secret) {
      secrets_.push_back(std::move(old));
      continue;
    }
    auto part = std::make_shared<SecretPart>(secret);
    if (auto read = std::visit(SecretReader(*part), secret.value); read) {
      secrets_.push_back(std::move(part));
      continue;
    } else {
      built.rejected.push_back({secret.name, read.error().path, read.error().message});
    }
    if (old) secrets_.push_back(std::move(old));
  }
  std::sort(secrets_.begin(), secrets_.end(), by_name);
  if (previous == nullptr) return;
  for (const TlsPartPtr& part : previous->tls_parts) {
    pairs_.emplace(Pair{part->material->presented.get(), part->material->trusted.get()},
                   part->material);
  }
}

const SecretPart* Transports::find(const std::string& name) const {
  const auto found = std::find_if(
      secrets_.begin(), secrets_.end(), [&](const auto& secret) { return secret->name == name; });
  return found == secrets_.end() ? nullptr : found->get();
}

identity::MaterialPtr Transports::pair(const identity::PresentedPtr& presented,
                                       const identity::TrustedPtr& trusted) {
  const Pair key{presented.get(), trusted.get()};
  if (const auto known = pairs_.find(key); known != pairs_.end()) return known->second;
  return pairs_.emplace(key, identity::pair_material(presented, trusted)).first->second;
}

TlsPartPtr Transports::intern(TlsPart part) {
  const auto find_in = [&](const std::vector<TlsPartPtr>& parts) {
    const auto found = std::find_if(
        parts.begin(), parts.end(), [&](const TlsPartPtr& known) { return *known == part; });
    return found == parts.end() ? nullptr : *found;
  };
  if (TlsPartPtr known = find_in(parts_)) return known;
  TlsPartPtr made = previous_ == nullptr ? nullptr : find_in(previous_->tls_parts);
  if (!made) made = std::make_shared<const TlsPart>(std::move(part));
  parts_.push_back(made);
  return made;
}

TlsPartPtr Transports::part(const TlsContext& tls, bool is_server) {
  identity::PresentedPtr presented;
  identity::TrustedPtr trusted;
  if (!tls.certificate.empty()) {
    const SecretPart* secret = find(tls.certificate);
    if (secret == nullptr || !secret->presented) return nullptr;
    presented = secret->presented;
  }
  if (!tls.validation.empty()) {
    const SecretPart* secret = find(tls.validation);
    if (secret == nullptr || !secret->trusted) return nullptr;
    trusted = secret->trusted;
  }
  return intern({is_server, pair(presented, trusted), tls.parameters});
}

Checked<Transport> Transports::make(const TlsContext* tls, bool is_server) {
  Transport transport;
  transport.tls = tls;
  if (tls == nullptr) return transport;
  if (is_server && (!tls->require_client_certificate || tls->validation.empty()))
    return refuse("tls.require_client_certificate", "peers without a certificate are not served");
  if (is_server && tls->certificate.empty()) return refuse("tls.certificate", "must not be empty");
  if (tls->parameters.min_version > tls->parameters.max_version)
    return refuse("tls.parameters", "the least version is above the greatest");
  std::vector<SubjectAltNameMatcher> names = tls->peer_names;
  if (const SecretPart* secret = find(tls->validation); secret != nullptr)
    names.insert(names.end(), secret->peer_names.begin(), secret->peer_names.end());
  auto regexes = std::make_shared<Regexes>();
  for (const SubjectAltNameMatcher& name : names) {
    if (name.matcher.kind != StringMatcher::Kind::safe_regex) continue;
    if (auto added = regexes->add(name.matcher.text); !added)
      return refuse("tls.peer_names", added.error().message);
  }
  for (const SubjectAltNameMatcher& name : names)
    transport.peer_names.push_back(matcher_of(name, regexes));
  transport.part = part(*tls, is_server);
  return transport;
}

bool Transports::is_current(const Transport& transport, bool is_server) {
  return transport.tls == nullptr || part(*transport.tls, is_server) == transport.part;
}

}  // namespace mooring::snapshot
