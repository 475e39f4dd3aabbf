// HTTP/1 requests: whatever comes in, however it is cut, the same requests and the same refusal
// come out, within the bounds. The first byte says how the rest is cut: 0 at every byte, else into
// pieces of that many.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <utility>
#include <vector>

#include "core/result.h"
#include "http/h1_codec.h"

namespace {

using mooring::Bytes;
using mooring::Result;
using mooring::http::Fed;
using mooring::http::H1Codec;
using mooring::http::Request;

struct Events : mooring::http::H1Events {
  std::vector<Request> requests;
  void on_request(Request request) override {
    AGENT_CHECK(request.body.size() <= mooring::http::kMaxBodyBytes);
    AGENT_CHECK(request.path.starts_with('/'));
    for (const char* name : {"limit", "level", ""})
      (void)request.parameter(name);
    requests.push_back(std::move(request));
  }
};

struct Outcome {
  std::vector<Request> requests;
  int status = 0;

  friend bool operator==(const Outcome&, const Outcome&) = default;
};

/// The status of a refusal, 0 when all was taken.
int feed_all(H1Codec& codec, Bytes input, Events& events) {
  while (!input.empty()) {
    const Result<Fed> fed = codec.feed(input, events);
    if (!fed) return fed.error().detail;
    AGENT_CHECK(fed->consumed > 0 && fed->consumed <= input.size());
    AGENT_CHECK(!fed->need_more || fed->consumed == input.size());
    input = input.subspan(fed->consumed);
  }
  return 0;
}

Outcome run(Bytes input, std::size_t piece) {
  H1Codec codec;
  Events events;
  int status = 0;
  while (!input.empty() && status == 0) {
    const Bytes now = input.first(std::min(piece, input.size()));
    status = feed_all(codec, now, events);
    input = input.subspan(now.size());
  }
  return {std::move(events.requests), status};
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const Bytes input = std::as_bytes(std::span(data + 1, size - 1));
  const Outcome whole = run(input, input.size());
  AGENT_CHECK(run(input, std::max<std::size_t>(data[0], 1)) == whole);
  AGENT_CHECK(whole.status == 0 || (whole.status >= 400 && whole.status <= 505));
  const auto response = mooring::http::parse_response(
      {reinterpret_cast<const char*>(data + 1), size - 1}, (data[0] & 1U) != 0);
  AGENT_CHECK(!response || response->body.size() < size);
  return 0;
}
