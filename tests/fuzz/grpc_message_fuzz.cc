// gRPC's framing: however a body is cut, the same messages and the same end come out, within the
// bound. The first byte says how the rest is cut: 0 at every byte, else into pieces of that many.
#include <algorithm>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "http/grpc.h"

namespace {

using mooring::Bytes;
using mooring::http::GrpcStatus;

constexpr std::size_t kMaxMessage = 300;

struct Outcome {
  std::vector<std::string> messages;
  GrpcStatus status;

  friend bool operator==(const Outcome&, const Outcome&) = default;
};

Outcome run(Bytes input, std::size_t piece) {
  mooring::http::GrpcReceiver receiver(kMaxMessage);
  Outcome outcome;
  receiver.on_headers({{":status", "200"}, {"content-type", "application/grpc"}});
  while (!input.empty()) {
    const Bytes now = input.first(std::min(piece, input.size()));
    input = input.subspan(now.size());
    receiver.on_data(now, [&](Bytes message) {
      AGENT_CHECK(message.size() <= kMaxMessage);
      outcome.messages.emplace_back(reinterpret_cast<const char*>(message.data()), message.size());
      return true;
    });
  }
  receiver.on_trailers({{"grpc-status", "0"}});
  receiver.on_end();
  outcome.status = *receiver.status();
  return outcome;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const Bytes input = std::as_bytes(std::span(data + 1, size - 1));
  const Outcome whole = run(input, input.size());
  AGENT_CHECK(run(input, std::max<std::size_t>(data[0], 1)) == whole);
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  AGENT_CHECK(mooring::http::decode_grpc_message(text).size() <= size);
  mooring::http::GrpcReceiver receiver;
  receiver.on_headers({{":status", std::string(text)}, {"content-type", std::string(text)}});
  receiver.on_trailers({{"grpc-status", std::string(text)}, {"grpc-message", std::string(text)}});
  receiver.on_end();
  AGENT_CHECK(receiver.status().has_value());
  return 0;
}
