// The first bytes of a connection on a port whose filter chains ask for HTTP. The first byte of the
// input says where the segment boundary is.
#include <cstdint>
#include <span>

#include "core/result.h"
#include "http/first_bytes.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using mooring::http::FirstBytes;
  if (size == 0) return 0;
  const mooring::Bytes bytes = std::as_bytes(std::span(data + 1, size - 1));
  const FirstBytes whole = mooring::http::inspect_first_bytes(bytes);
  const FirstBytes part =
      mooring::http::inspect_first_bytes(bytes.first(bytes.size() * data[0] / 256));
  // More bytes never take back an answer.
  if (part != FirstBytes::need_more) AGENT_CHECK(whole == part);
  if (bytes.size() >= mooring::http::kMaxRequestLineBytes)
    AGENT_CHECK(whole != FirstBytes::need_more);
  return 0;
}
