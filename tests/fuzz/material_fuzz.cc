// PEM texts of an identity, as files or a control plane deliver them: SVID, key and bundle,
// separated by zero bytes. An empty key stands for one that can be read.
#include <cstdint>
#include <string>
#include <string_view>

#include "identity/material.h"
#include "support/pki.h"

namespace identity = mooring::identity;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const std::string sound_key = mooring::test::make_key_pem(mooring::test::KeyType::p256);
  std::string_view rest(reinterpret_cast<const char*>(data), size);
  const auto next = [&rest] {
    const std::string part(rest.substr(0, rest.find('\0')));
    rest.remove_prefix(std::min(rest.size(), part.size() + 1));
    return part;
  };
  identity::MaterialText text;
  text.svid_pem = next();
  text.key_pem = next();
  text.bundle_pems["mesh.test"] = next();
  if (text.key_pem.empty()) text.key_pem = sound_key;
  const auto built = identity::build_material(text);
  if (!built) AGENT_CHECK(!built.error().message.empty());
  // What makes a whole makes its halves.
  const auto presented = identity::build_presented(text.svid_pem, text.key_pem);
  const auto trusted = identity::build_trusted_any(text.bundle_pems["mesh.test"]);
  AGENT_CHECK(!built || (presented && trusted));
  return 0;
}
