// What a control plane means when it ends a stream, for people and for the next attempt.
#pragma once

#include <cstdint>
#include <string>

#include "http/grpc.h"

namespace mooring::discovery {

struct Refusal {
  enum class Kind : std::uint8_t {
    lost,            // the stream or the connection ended: nothing is said about this host
    already_active,  // the stream before is not forgotten yet: for 10 s by default
    unauthorized,    // the token does not do
    refused,         // any other sentence
  };
  Kind kind = Kind::lost;
  std::string text;    // one sentence, the peer's words escaped
  std::string remedy;  // empty: waiting

  friend bool operator==(const Refusal&, const Refusal&) = default;
};

/// Kuma ends streams with the code `unknown` and a text (protocol.md §3.1): the text is what
/// counts.
[[nodiscard]] Refusal explain_refusal(const http::GrpcStatus& status);

}  // namespace mooring::discovery
