#include "identity/digest.h"

#include <openssl/evp.h>

#include <array>

#include "core/result.h"
#include "identity/x509.h"

namespace mooring::identity {

std::string sha256_hex(std::string_view bytes) {
  prepare_library();
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned length = 0;
  AGENT_CHECK(
      EVP_Digest(bytes.data(), bytes.size(), digest.data(), &length, EVP_sha256(), nullptr) == 1);
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  for (unsigned i = 0; i < length; ++i) {
    text += kDigits[digest[i] >> 4U];
    text += kDigits[digest[i] & 15U];
  }
  return text;
}

}  // namespace mooring::identity
