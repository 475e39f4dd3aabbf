#include "dns/server.h"

#include <algorithm>
#include <utility>

#include "dns/tcp_client.h"
#include "net/socket.h"

namespace mooring::dns {

namespace {

constexpr std::uint8_t kCodeMask = 0x0f;  // of the header's fourth byte

ResponseCode code_for(const Error& error) {
  return error.code == Errc::unsupported ? ResponseCode::not_implemented
                                         : ResponseCode::format_error;
}

}  // namespace

Server::Server(Loop& loop, net::StreamPool& pool, Forwarder::Resolvers resolvers)
    : loop_(loop),
      pool_(pool),
      resolvers_(resolvers),
      forwarder_(loop, pool, std::move(resolvers)),
      reaper_(loop, [this] { retired_.clear(); }) {}

Server::~Server() = default;

Result<void> Server::listen(const SocketAddress& address) {
  auto datagrams = net::make_datagram_socket(address);
  if (!datagrams) return fail(datagrams.error());
  auto stream = net::make_listener(address, {.reuse_port = false});
  if (!stream) return fail(stream.error());
  const std::size_t position = sockets_.size();
  sockets_.push_back(std::make_unique<net::DatagramSocket>(
      loop_,
      pool_,
      std::move(*datagrams),
      [this, position](Bytes bytes, const SocketAddress& from) {
        on_datagram(position, bytes, from);
      }));
  listeners_.push_back(std::make_unique<net::Listener>(
      loop_, std::move(*stream), [this](UniqueFd fd) { accept(std::move(fd)); }, [] {}));
  return {};
}

std::optional<std::vector<std::byte>> Server::own_answer(Bytes message, bool is_udp) {
  const auto query = parse_query(message);
  if (!query) {
    ++counts_.failed;
    // Two servers that answer each other's answers would never end.
    if (query.error().code == Errc::closed) return std::vector<std::byte>{};
    return failure(message, code_for(query.error()));
  }
  auto known = answer(table_, *query, message, is_udp ? query->udp_bytes : kMaxMessageBytes);
  if (known) ++counts_.answered;
  return known;
}

void Server::on_datagram(std::size_t socket, Bytes bytes, const SocketAddress& from) {
  if (auto own = own_answer(bytes, true)) {
    if (!own->empty()) sockets_[socket]->send_to(*own, from);
    return;
  }
  forwarder_.ask(bytes, [this, socket, from](Bytes reply) {
    note_forwarded(reply);
    sockets_[socket]->send_to(reply, from);
  });
}

void Server::note_forwarded(Bytes reply) {
  const auto code = std::to_integer<std::uint8_t>(reply[3]) & kCodeMask;
  const bool is_failure = code == static_cast<std::uint8_t>(ResponseCode::server_failure);
  ++(is_failure ? counts_.failed : counts_.forwarded);
}

void Server::accept(UniqueFd fd) {
  if (clients_.size() >= kMaxConnections) return;
  clients_.push_back(std::make_unique<TcpClient>(*this, std::move(fd)));
}

void Server::retire(TcpClient& client) {
  const auto found = std::find_if(
      clients_.begin(), clients_.end(), [&](const auto& known) { return known.get() == &client; });
  if (found == clients_.end()) return;
  retired_.push_back(std::move(*found));
  clients_.erase(found);
  reaper_.start(Milliseconds{0});
}

}  // namespace mooring::dns
