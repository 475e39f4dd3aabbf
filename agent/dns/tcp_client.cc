#include "dns/tcp_client.h"

#include <algorithm>
#include <utility>

namespace mooring::dns {

TcpClient::TcpClient(Server& server, UniqueFd fd)
    : server_(server),
      stream_(server.loop_, server.pool_, *this),
      idle_(server.loop_, [this] { end(); }) {
  if (!stream_.adopt(std::move(fd))) {
    idle_.start(Milliseconds{0});
    return;
  }
  idle_.start(kIdle);
  stream_.start_reading();
}

void TcpClient::on_bytes(net::TcpStream&, Bytes bytes) {
  frames_.push(bytes);
  idle_.start(kIdle);
  serve_next();
}

void TcpClient::on_eof(net::TcpStream&) {
  asks_no_more_ = true;
  if (!exchange_) end();
}

// What came behind the query that is handed on waits, and the client with it.
void TcpClient::serve_next() {
  while (!exchange_ && !is_ended_) {
    const auto query = frames_.next();
    if (!query) return asks_no_more_ ? end() : stream_.start_reading();
    if (auto own = server_.own_answer(*query, false)) {
      if (own->empty()) return end();
      reply(*own);
    } else {
      stream_.stop_reading();
      untried_ = server_.resolvers_();
      std::reverse(untried_.begin(), untried_.end());
      forward(*query);
    }
  }
}

void TcpClient::forward(std::vector<std::byte> query) {
  query_ = std::move(query);
  if (untried_.empty()) {
    const auto failed = failure(query_, ResponseCode::server_failure);
    server_.note_forwarded(failed);
    return reply(failed);
  }
  const SocketAddress resolver = untried_.back();
  untried_.pop_back();
  exchange_ = std::make_unique<TcpExchange>(
      server_.loop_, server_.pool_, resolver, query_, [this](std::vector<std::byte> answer) {
        last_exchange_ = std::move(exchange_);  // it may not be destroyed in its own callback
        if (is_ended_) return;
        if (answer.empty()) {
          forward(std::move(query_));
        } else {
          server_.note_forwarded(answer);
          reply(answer);
        }
        serve_next();
      });
}

void TcpClient::reply(Bytes message) {
  idle_.start(kIdle);
  stream_.write(framed(message));
  // Who asks and does not read the answers asks no more.
  if (stream_.queued() > kMaxMessageBytes) end();
}

void TcpClient::end() {
  if (std::exchange(is_ended_, true)) return;
  stream_.close(true);
  server_.retire(*this);
}

}  // namespace mooring::dns
