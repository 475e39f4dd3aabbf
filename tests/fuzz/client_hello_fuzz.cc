// The first bytes of a connection on a port that takes mesh TLS and everything else. The first byte
// of the input says where the segment boundary is.
#include <cstdint>
#include <span>

#include "core/result.h"
#include "tls/client_hello.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using mooring::tls::ClientHello;
  using mooring::tls::FirstBytes;
  if (size == 0) return 0;
  const mooring::Bytes bytes = std::as_bytes(std::span(data + 1, size - 1));
  const ClientHello whole = mooring::tls::inspect_client_hello(bytes);
  const ClientHello part =
      mooring::tls::inspect_client_hello(bytes.first(bytes.size() * data[0] / 256));
  // More bytes never take back an answer.
  if (part.kind == FirstBytes::not_tls) AGENT_CHECK(whole.kind == FirstBytes::not_tls);
  if (part.kind == FirstBytes::client_hello) {
    AGENT_CHECK(whole.kind == FirstBytes::client_hello && whole.is_mesh == part.is_mesh);
    AGENT_CHECK(whole.sni == part.sni);
  }
  if (whole.kind != FirstBytes::client_hello) AGENT_CHECK(!whole.is_mesh && whole.sni.empty());
  if (whole.is_mesh) AGENT_CHECK(!whole.alpn.empty());
  return 0;
}
