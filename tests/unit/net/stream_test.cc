#include "net/stream.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <cerrno>
#include <string>
#include <string_view>

#include "net/socket.h"

namespace mooring::net {
namespace {

/// Notes what happens to a stream and leaves the loop at its end.
class Notes final : public TcpStream::Owner {
 public:
  explicit Notes(Loop& loop) : loop_(loop) {}
  void on_connected(TcpStream&, int) override {}
  void on_bytes(TcpStream&, Bytes bytes) override {
    text.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }
  void on_eof(TcpStream&) override {
    has_ended = true;
    loop_.stop();
  }
  void on_reset(TcpStream&, int number) override {
    error = number;
    loop_.stop();
  }
  void on_drained(TcpStream&) override {}
  void on_write_closed(TcpStream&) override {}

  std::string text;
  bool has_ended = false;
  int error = 0;

 private:
  Loop& loop_;
};

/// A connection over loopback: a peer's blocking socket, and a stream that does not read yet.
struct Connection {
  Connection() : stream(loop, pool, notes) {
    auto listener = make_listener({IpAddress::v4(0x7f000001), 0}, {});
    const SocketAddress address = *local_address(listener->get());
    sockaddr_storage raw{};
    const socklen_t size = address.to_sockaddr(raw);
    peer.reset(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    EXPECT_EQ(::connect(peer.get(), reinterpret_cast<const sockaddr*>(&raw), size), 0);
    UniqueFd accepted(::accept4(listener->get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    EXPECT_TRUE(stream.adopt(std::move(accepted)));
  }
  void send(std::string_view text) const {
    EXPECT_EQ(::send(peer.get(), text.data(), text.size(), 0), static_cast<ssize_t>(text.size()));
  }
  void reset_by_peer() {
    const linger at_once{1, 0};
    ::setsockopt(peer.get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    peer.reset();
  }
  void read_to_the_end() {
    stream.start_reading();
    loop.run();
  }

  Loop loop;
  StreamPool pool;
  Notes notes{loop};
  TcpStream stream;
  UniqueFd peer;
};

TEST(TcpStream, EndBehindBytesIsAnEnd) {
  Connection connection;
  connection.send("hello");
  connection.peer.reset();
  connection.read_to_the_end();
  EXPECT_EQ(connection.notes.text, "hello");
  EXPECT_TRUE(connection.notes.has_ended);
  EXPECT_EQ(connection.notes.error, 0);
}

// libuv sees the hang-up behind the bytes and calls it an end of stream.
TEST(TcpStream, ResetBehindBytesIsNoEnd) {
  Connection connection;
  connection.send("hello");
  connection.reset_by_peer();
  connection.read_to_the_end();
  EXPECT_EQ(connection.notes.text, "hello");
  EXPECT_FALSE(connection.notes.has_ended);
  EXPECT_EQ(connection.notes.error, ECONNRESET);
}

TEST(TcpStream, ResetWithoutBytesIsAReset) {
  Connection connection;
  connection.reset_by_peer();
  connection.read_to_the_end();
  EXPECT_FALSE(connection.notes.has_ended);
  EXPECT_EQ(connection.notes.error, ECONNRESET);
}

}  // namespace
}  // namespace mooring::net
