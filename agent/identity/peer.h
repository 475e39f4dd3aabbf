// The rules for one certificate: of the X.509-SVID specification, and of plain TLS. Pure; paths are
// path.h's.
#pragma once

#include <cstdint>

#include "core/result.h"
#include "identity/names.h"
#include "identity/spiffe_id.h"
#include "identity/x509.h"

namespace mooring::identity {

/// What the holder of a leaf is about to act as.
enum class Purpose : std::uint8_t { client, server, both };

/// The one SPIFFE ID of a leaf that may be used for `purpose`. Fails with bad_certificate; the
/// error's place is the rule that was broken, in words ("more than one URI SAN"). Validity and
/// signatures are not looked at.
[[nodiscard]] Result<SpiffeId> leaf_identity(x509_st& leaf, Purpose purpose);

/// The names of a leaf that may be used for `purpose`, where no more than TLS is asked of it
/// (RFC 5280): any number of names of any type. Fails as leaf_identity() does.
[[nodiscard]] Result<Names> leaf_names(x509_st& leaf, Purpose purpose);

/// May this certificate sign others: a CA with keyCertSign (X.509-SVID §3.2). What need not be an
/// SVID, as a trust anchor, `may_lack_key_usage`.
[[nodiscard]] Result<void> check_signer(x509_st& signer, bool may_lack_key_usage);

}  // namespace mooring::identity
