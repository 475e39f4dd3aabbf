#include "tls/fips.h"

#include <cstdlib>

#include "core/file.h"

namespace mooring::tls {

namespace {

constexpr const char* kFipsEnabled = "/proc/sys/crypto/fips_enabled";

}  // namespace

FipsFacts read_fips_facts() {
  FipsFacts facts;
  facts.is_bundled = MOORING_OPENSSL_BUNDLED != 0;
  // Kernels without the option have no such file, and those hosts are not in FIPS mode.
  if (auto content = read_file(kFipsEnabled, 64)) facts.fips_enabled = std::move(*content);
  const char* allowed = std::getenv(kAllowNonFips);  // NOLINT(concurrency-mt-unsafe): see above
  if (allowed != nullptr) facts.allowed_non_fips = allowed;
  return facts;
}

bool is_fips_host(const FipsFacts& facts) {
  return facts.fips_enabled.rfind('1', 0) == 0;
}

std::optional<Diagnostic> refuse_on_fips_host(const FipsFacts& facts) {
  if (!is_fips_host(facts) || !facts.is_bundled || facts.allowed_non_fips == "1") return {};
  return Diagnostic{
      kFipsEnabled,
      "this host is in FIPS mode, and this build brings an OpenSSL that is not validated",
      "install the build that uses the system's OpenSSL, or set MOORING_ALLOW_NON_FIPS=1 "
      "where your rules allow it"};
}

}  // namespace mooring::tls
