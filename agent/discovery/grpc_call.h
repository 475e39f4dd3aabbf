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
  bool is_high = false;        // our side; then what comes in is not consumed
  std::size_t held = 0;        // not consumed for that reason
  std::size_t unsent = 0;      // at the last tick
  std::uint64_t moved_ms = 0;  // when the peer last took something, or had taken all
};

}  // namespace mooring::discovery
