// A peer's certificate as DER: the readings of it that a handshake makes before and after it is
// trusted.
#include <openssl/err.h>
#include <openssl/x509.h>

#include <cstdint>
#include <optional>

#include "core/result.h"
#include "identity/path.h"
#include "identity/peer.h"
#include "support/pki.h"

namespace identity = mooring::identity;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const mooring::test::TestCa ca("mesh.test");
  static const identity::TrustBundle bundle{
      "mesh.test", *identity::parse_certificates(ca.cert_pem(), 1), {}};
  if (size > 64 * 1024) return 0;
  const unsigned char* der = data;
  const identity::X509Ptr leaf(d2i_X509(nullptr, &der, static_cast<long>(size)));
  ERR_clear_error();  // or its memory looks like a leak after every input
  if (!leaf) return 0;
  for (const auto purpose : {identity::Purpose::client, identity::Purpose::server}) {
    const auto id = identity::leaf_identity(*leaf, purpose);
    if (id) AGENT_CHECK(!id->path().empty());
    const auto names = identity::leaf_names(*leaf, purpose);
    if (id && names) AGENT_CHECK(names->spiffe_id() == id->text());
    if (names) AGENT_CHECK(identity::Names::unpack(names->packed()).has_value());
    // Nothing that the fuzzer writes is signed by a key that it does not have.
    AGENT_CHECK(!identity::verify_path(bundle, *leaf, nullptr, purpose, std::nullopt));
  }
  static_cast<void>(identity::check_signer(*leaf, true));
  static_cast<void>(identity::validity(*leaf));
  static_cast<void>(identity::fingerprint(*leaf));
  return 0;
}
