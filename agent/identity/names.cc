#include "identity/names.h"

#include <openssl/err.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <array>
#include <memory>

#include "core/address.h"
#include "core/free_by.h"
#include "core/spiffe_text.h"

namespace mooring::identity {

namespace {

constexpr std::size_t kHeadBytes = 3;

std::size_t text_bytes(std::string_view packed) noexcept {
  return std::size_t{static_cast<std::uint8_t>(packed[1])} << 8 |
         static_cast<std::uint8_t>(packed[2]);
}

std::string_view view_of(const ASN1_STRING* text) noexcept {
  return {reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)),
          static_cast<std::size_t>(ASN1_STRING_length(text))};
}

// RFC 5280 has IA5String here. What a log or a matcher could take for something else is refused.
bool is_sound(std::string_view text) noexcept {
  return !text.empty() && text.size() <= Names::kMaxTextBytes &&
         std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < '\x7f'; });
}

std::optional<IpAddress> ip_of(std::string_view bytes) noexcept {
  std::array<std::uint8_t, 16> all{};
  if (bytes.size() != 4 && bytes.size() != all.size()) return std::nullopt;
  std::copy(bytes.begin(), bytes.end(), all.begin());
  if (bytes.size() == all.size()) return IpAddress::v6(all);
  return IpAddress::v4(std::uint32_t{all[0]} << 24 | std::uint32_t{all[1]} << 16 |
                       std::uint32_t{all[2]} << 8 | std::uint32_t{all[3]});
}

Result<void> add_name(Names& names, const GENERAL_NAME& name) {
  const auto add_text = [&](NameType type, const ASN1_STRING* text) -> Result<void> {
    if (!is_sound(view_of(text)))
      return fail(Errc::bad_certificate, "a subject alternative name that is no printable text");
    names.add(type, view_of(text));
    return {};
  };
  switch (name.type) {
    case GEN_URI:
      return add_text(NameType::uri, name.d.uniformResourceIdentifier);
    case GEN_DNS:
      return add_text(NameType::dns, name.d.dNSName);
    case GEN_EMAIL:
      return add_text(NameType::email, name.d.rfc822Name);
    case GEN_IPADD: {
      const auto ip = ip_of(view_of(name.d.iPAddress));
      if (!ip) return fail(Errc::bad_certificate, "a subject alternative name that is no address");
      names.add(NameType::ip_address, ip->to_string());
      return {};
    }
    default:  // an int of the library: otherName, directoryName and what nobody matches
      return {};
  }
}

}  // namespace

void Names::add(NameType type, std::string_view text) {
  AGENT_CHECK(!text.empty() && text.size() <= kMaxTextBytes);
  packed_ += static_cast<char>(type);
  packed_ += static_cast<char>(text.size() >> 8);
  packed_ += static_cast<char>(text.size() & 0xff);
  packed_ += text;
}

std::optional<Names> Names::unpack(std::string_view packed) {
  for (std::string_view rest = packed; !rest.empty();) {
    constexpr auto kLastType = static_cast<std::uint8_t>(NameType::email);
    if (rest.size() < kHeadBytes || static_cast<std::uint8_t>(rest.front()) > kLastType ||
        text_bytes(rest) == 0 || rest.size() - kHeadBytes < text_bytes(rest)) {
      return std::nullopt;
    }
    rest.remove_prefix(kHeadBytes + text_bytes(rest));
  }
  Names names;
  names.packed_ = packed;
  return names;
}

Name Names::Iterator::operator*() const noexcept {
  return {static_cast<NameType>(rest_.front()), rest_.substr(kHeadBytes, text_bytes(rest_))};
}

Names::Iterator& Names::Iterator::operator++() noexcept {
  rest_.remove_prefix(kHeadBytes + text_bytes(rest_));
  return *this;
}

std::string_view Names::spiffe_id() const noexcept {
  std::string_view found;
  for (const Name name : *this) {
    const bool is_one = name.type == NameType::uri && is_spiffe_id(name.text) &&
                        name.text.find('/', kSpiffeScheme.size()) != std::string_view::npos;
    if (!is_one) continue;
    if (!found.empty()) return {};
    found = name.text;
  }
  return found;
}

Result<Names> subject_alternative_names(const x509_st& certificate) {
  ERR_clear_error();
  int critical = 0;
  const std::unique_ptr<GENERAL_NAMES, FreeBy<GENERAL_NAMES_free>> found(
      static_cast<GENERAL_NAMES*>(
          X509_get_ext_d2i(&certificate, NID_subject_alt_name, &critical, nullptr)));
  ERR_clear_error();
  Names names;
  if (!found && critical == -1) return names;  // absent; -2: more than one, against RFC 5280 §4.2
  if (!found) return fail(Errc::bad_certificate, "broken subject alternative name");
  for (int i = 0; i < sk_GENERAL_NAME_num(found.get()); ++i) {
    if (auto added = add_name(names, *sk_GENERAL_NAME_value(found.get(), i)); !added)
      return fail(added.error());
  }
  return names;
}

}  // namespace mooring::identity
