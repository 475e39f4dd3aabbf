// A control plane's messages, from bytes to what is served: the stream's responses one after the
// other, and the specifier of the health stream. The input is pieces, each behind its length.
#include <cstdint>
#include <string_view>

#include "discovery/delta_codec.h"
#include "discovery/health_stream.h"
#include "discovery/refusing_listener.h"
#include "discovery/store.h"

namespace {

using namespace mooring::discovery;  // NOLINT(google-build-using-namespace): one file, one test

DecodeResult decode_one(ResourceKind kind, std::string_view name, std::string_view bytes) {
  return decode(type_url(kind), name, bytes);
}

void take(Store& store, DeltaSession& session, mooring::Bytes bytes, std::uint64_t now_ms) {
  auto response = decode_delta_response(bytes);
  if (!response) return;
  const auto kind = session.on_response(*response);
  if (!kind) return;
  const std::string nonce = response->nonce;
  const auto rejected = store.apply(*kind, std::move(*response), now_ms);
  for (const ResourceKind named : {ResourceKind::endpoints, ResourceKind::secret})
    session.want(named, store.wanted(named));
  session.answer(*kind, nonce, rejected);
  if (store.clusters_are_warm()) session.ask_listeners();
  for (const DeltaRequest& request : session.take())
    AGENT_CHECK(!encode_delta_request(request, {}).empty());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  mooring::Bytes input = std::as_bytes(std::span(data, size));
  static_cast<void>(decode_health_specifier(input));
  Store store({.decode = decode_one, .refuse = make_refusing_listener});
  DeltaSession session([&](ResourceKind kind) { return store.versions(kind); });
  session.start();
  session.ask_listeners();
  for (std::uint64_t now_ms = 0; input.size() >= 2; now_ms += 1000) {
    const std::size_t length =
        std::min(input.size() - 2,
                 static_cast<std::size_t>(input[0]) << 8U | static_cast<std::size_t>(input[1]));
    take(store, session, input.subspan(2, length), now_ms);
    input = input.subspan(2 + length);
  }
  // What was accepted is accepted again, and serves the same names.
  Store again({.decode = decode_one, .refuse = make_refusing_listener});
  AGENT_CHECK(again.load(store.accepted()).empty());
  AGENT_CHECK(again.accepted().size() <= store.accepted().size());
  return 0;
}
