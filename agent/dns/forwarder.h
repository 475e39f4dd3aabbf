// Hands queries that came by UDP on to the host's resolvers, each from a port and with an
// identifier of its own (RFC 5452 §9.2). Control thread.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <vector>

#include "core/loop.h"
#include "net/datagram.h"

namespace mooring::dns {

class Forwarder {
 public:
  /// Beyond it the oldest one fails: resolvers that do not answer must not stop those that do.
  static constexpr std::size_t kMaxWaiting = 256;
  static constexpr Milliseconds kPatience{2000};  // for one resolver

  using Resolvers = std::function<std::vector<SocketAddress>()>;  // in order
  using OnReply = std::function<void(Bytes reply)>;               // valid during the call

  Forwarder(Loop& loop, net::StreamPool& pool, Resolvers resolvers);

  /// `on_reply` gets the answer under the query's identifier; a failure if no resolver gave one.
  /// `query` is one that parse_query() takes.
  void ask(Bytes query, OnReply on_reply);

 private:
  struct Waiting {
    std::vector<std::byte> query;  // under our identifier
    std::uint16_t client_id = 0;
    std::vector<SocketAddress> untried;  // last one first
    std::uint64_t due_ms = 0;
    std::unique_ptr<net::DatagramSocket> socket;
    OnReply on_reply;
  };
  void try_next(std::uint64_t number);
  void on_datagram(std::uint64_t number, Bytes bytes);
  void give_up(std::uint64_t number);
  void retire(Waiting waiting);
  void tick();

  Loop& loop_;
  net::StreamPool& pool_;
  Resolvers resolvers_;
  std::random_device random_;
  std::uint64_t last_ = 0;
  std::map<std::uint64_t, Waiting> waiting_;  // oldest first
  std::vector<std::unique_ptr<net::DatagramSocket>> retired_;
  Timer tick_;
  Timer reaper_;
};

}  // namespace mooring::dns
