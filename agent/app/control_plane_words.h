// What a Kuma control plane says when it ends a stream, and what an admin does about it. Pure.
#pragma once

#include <string>
#include <string_view>

namespace mooring::app {

struct Explained {
  std::string message;  // one line, without a full stop
  std::string remedy;   // empty where the control plane's own words are all there is
};

/// `text` is the message of the stream's gRPC status, as Kuma's authenticator writes it, or a
/// sentence of ours. Known ones become a sentence with a remedy; others are kept, on one line and
/// cut at 300 bytes.
[[nodiscard]] Explained explain_control_plane(std::string_view text);

}  // namespace mooring::app
