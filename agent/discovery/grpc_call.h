// What the channel knows of one call. Inside discovery only.
#pragma once

#include <cstdint>
#include <string>

#include "discovery/grpc_channel.h"

namespace mooring::discovery {

struct GrpcChannel::Call {
  CallId id = 0;
  std::string path;
  Metadata metadata;
  GrpcHandler& handler;
  http::GrpcReceiver receiver;
  http::StreamId stream = 0;   // 0: waits for a connection
  std::size_t taken = 0;       // from the handler, in all
  std::size_t sent = 0;        // of that, at the last tick
  std::uint64_t moved_ms = 0;  // when the peer last took something, or had taken all
};

}  // namespace mooring::discovery
