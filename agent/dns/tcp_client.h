// A client's connection: one query at a time (RFC 7766 §6.2.1 lets a server answer in order).
#pragma once

#include <memory>
#include <vector>

#include "dns/frames.h"
#include "dns/server.h"
#include "dns/tcp_exchange.h"

namespace mooring::dns {

class TcpClient final : public net::TcpStream::Owner {
 public:
  static constexpr Milliseconds kIdle{10000};

  TcpClient(Server& server, UniqueFd fd);

 private:
  void on_connected(net::TcpStream&, int) override {}
  void on_bytes(net::TcpStream& stream, Bytes bytes) override;
  void on_eof(net::TcpStream&) override;
  void on_reset(net::TcpStream&, int) override { end(); }
  void on_drained(net::TcpStream&) override {}
  void on_write_closed(net::TcpStream&) override {}
  void serve_next();
  void forward(std::vector<std::byte> query);
  void reply(Bytes message);
  void end();

  Server& server_;
  Frames frames_;
  std::vector<std::byte> query_;           // handed on
  std::vector<SocketAddress> untried_;     // resolvers for it, last one first
  std::unique_ptr<TcpExchange> exchange_;  // under way
  std::unique_ptr<TcpExchange> last_exchange_;
  bool asks_no_more_ = false;
  bool is_ended_ = false;
  net::TcpStream stream_;
  Timer idle_;
};

}  // namespace mooring::dns
