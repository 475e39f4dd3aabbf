// Answers the names of the mesh from a table, and hands every other query on to the host's
// resolvers, over UDP and TCP. Control thread.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "core/loop.h"
#include "core/result.h"
#include "dns/forwarder.h"
#include "dns/message.h"
#include "net/datagram.h"
#include "net/listener.h"
#include "net/stream.h"

namespace mooring::dns {

struct Counts {
  std::uint64_t answered = 0;  // from the table
  std::uint64_t forwarded = 0;
  std::uint64_t failed = 0;  // no resolver answered, or the query could not be read
};

class TcpClient;

class Server {
 public:
  /// Connections beyond it are closed at once.
  static constexpr std::size_t kMaxConnections = 64;

  Server(Loop& loop, net::StreamPool& pool, Forwarder::Resolvers resolvers);
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  /// Both protocols on one address. Fails when one of them cannot be had.
  [[nodiscard]] Result<void> listen(const SocketAddress& address);
  void set_table(Table table) { table_ = std::move(table); }
  [[nodiscard]] const Table& table() const noexcept { return table_; }
  [[nodiscard]] const Counts& counts() const noexcept { return counts_; }

 private:
  friend class TcpClient;
  /// An answer of ours, or nothing: the query goes to a resolver.
  [[nodiscard]] std::optional<std::vector<std::byte>> own_answer(Bytes message, bool is_udp);
  void on_datagram(std::size_t socket, Bytes bytes, const SocketAddress& from);
  void accept(UniqueFd fd);
  void retire(TcpClient& client);
  void note_forwarded(Bytes reply);

  Loop& loop_;
  net::StreamPool& pool_;
  Forwarder::Resolvers resolvers_;
  Table table_;
  Counts counts_;
  Forwarder forwarder_;
  std::vector<std::unique_ptr<net::DatagramSocket>> sockets_;
  std::vector<std::unique_ptr<net::Listener>> listeners_;
  std::vector<std::unique_ptr<TcpClient>> clients_;
  std::vector<std::unique_ptr<TcpClient>> retired_;
  Timer reaper_;
};

}  // namespace mooring::dns
