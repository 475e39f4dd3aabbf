// One query to a resolver over TCP. Control thread.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "core/loop.h"
#include "dns/frames.h"
#include "net/stream.h"

namespace mooring::dns {

class TcpExchange final : public net::TcpStream::Owner {
 public:
  static constexpr Milliseconds kPatience{5000};

  /// `on_done` runs once, from the loop, with the reply or nothing. Not destroyed in it.
  using OnDone = std::function<void(std::vector<std::byte> reply)>;
  TcpExchange(Loop& loop,
              net::StreamPool& pool,
              const SocketAddress& resolver,
              std::vector<std::byte> query,
              OnDone on_done);

 private:
  void on_connected(net::TcpStream& stream, int error) override;
  void on_bytes(net::TcpStream& stream, Bytes bytes) override;
  void on_eof(net::TcpStream&) override { finish({}); }
  void on_reset(net::TcpStream&, int) override { finish({}); }
  void on_drained(net::TcpStream&) override {}
  void on_write_closed(net::TcpStream&) override {}
  void finish(std::vector<std::byte> reply);

  std::vector<std::byte> query_;
  OnDone on_done_;
  Frames frames_;
  bool is_done_ = false;
  net::TcpStream stream_;
  Timer deadline_;
};

}  // namespace mooring::dns
