#include "dns/tcp_exchange.h"

#include <utility>

#include "dns/message.h"
#include "net/socket.h"

namespace mooring::dns {

TcpExchange::TcpExchange(Loop& loop,
                         net::StreamPool& pool,
                         const SocketAddress& resolver,
                         std::vector<std::byte> query,
                         OnDone on_done)
    : query_(std::move(query)),
      on_done_(std::move(on_done)),
      stream_(loop, pool, *this),
      deadline_(loop, [this] { finish({}); }) {
  auto fd = net::make_connecting_socket(resolver, std::nullopt, {});
  const bool is_begun = fd && stream_.connect(std::move(*fd), resolver).has_value();
  // A failure too is told from the loop.
  deadline_.start(is_begun ? kPatience : Milliseconds{0});
}

void TcpExchange::on_connected(net::TcpStream&, int error) {
  if (error != 0) return finish({});
  stream_.write(framed(query_));
  stream_.start_reading();
}

void TcpExchange::on_bytes(net::TcpStream&, Bytes bytes) {
  frames_.push(bytes);
  if (auto reply = frames_.next()) {
    if (!is_reply_to(*reply, id_of(query_), query_)) reply->clear();
    finish(std::move(*reply));
  }
}

void TcpExchange::finish(std::vector<std::byte> reply) {
  if (std::exchange(is_done_, true)) return;
  deadline_.stop();
  stream_.close(true);
  on_done_(std::move(reply));
}

}  // namespace mooring::dns
