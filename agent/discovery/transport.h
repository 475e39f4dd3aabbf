// One connection to a control plane: name look-up, TCP (through an HTTPS proxy where one is asked
// for) and TLS, or a unix socket. Bytes of HTTP/2 go in and out. On the control loop.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/loop.h"
#include "net/resolver.h"
#include "net/stream.h"
#include "tls/session.h"

namespace mooring::discovery {

struct HostPort {
  std::string host;  // a name, or an IP address without brackets
  std::uint16_t port = 0;

  [[nodiscard]] std::string to_string() const;
  friend bool operator==(const HostPort&, const HostPort&) = default;
};

struct HttpProxy {
  HostPort address;
  std::string credentials;  // "user:password"; empty: none are sent
};

struct Target {
  HostPort address;
  std::optional<HttpProxy> proxy;
  std::string unix_path;      // instead of the two above, and without TLS
  std::string server_name{};  // that the certificate has to have; empty: the address's host
};

class Transport final : public net::TcpStream::Owner {
 public:
  /// Called from the loop, never from inside a call on the transport. It may be closed in them, and
  /// destroyed after the callback returned.
  class Owner {
   public:
    virtual void on_connected() = 0;
    virtual void on_bytes(Bytes bytes) = 0;  // valid during the call
    virtual void on_drained() = 0;           // the kernel has taken all that was written
    virtual void on_failed(const std::string& why) = 0;  // the last one; text of ours

   protected:
    ~Owner() = default;
  };

  /// `tls` may be null for a unix socket. `timeout` is for the look-up, and for each address until
  /// its TLS handshake is done.
  Transport(
      Loop& loop, net::StreamPool& pool, tls::Context* tls, Milliseconds timeout, Owner& owner);
  Transport(const Transport&) = delete;
  Transport& operator=(const Transport&) = delete;

  void start(const Target& target);
  /// Takes all of it; queued() says what has not gone out.
  void write(Bytes bytes);
  [[nodiscard]] std::size_t queued() const noexcept { return stream_ ? stream_->queued() : 0; }
  /// Orderly, and nothing is called any more.
  void close();

 private:
  enum class Phase : std::uint8_t {
    idle,
    resolving,
    connecting,
    tunnelling,
    handshaking,
    open,
    closed
  };

  void on_connected(net::TcpStream& stream, int error) override;
  void on_bytes(net::TcpStream& stream, Bytes bytes) override;
  void on_eof(net::TcpStream& stream) override;
  void on_reset(net::TcpStream& stream, int error) override;
  void on_drained(net::TcpStream& stream) override;
  void on_write_closed(net::TcpStream& stream) override;

  void connect_unix();
  void resolved(std::vector<IpAddress> addresses);
  void connect_next();
  void begin_tunnel(const HttpProxy& proxy);
  void take_tunnel_answer(Bytes bytes);
  void begin_tls();
  void take_tls(Bytes bytes);
  bool take_step(const tls::Step& step);
  void opened();
  void fail_address(std::string why);
  void fail_for_good(std::string why);
  [[nodiscard]] const HostPort& peer() const noexcept;

  Loop& loop_;
  net::StreamPool& pool_;
  tls::Context* tls_;
  Milliseconds timeout_;
  Owner& owner_;
  Phase phase_ = Phase::idle;
  Target target_;
  std::unique_ptr<net::Lookup> lookup_;
  std::vector<IpAddress> addresses_;  // not yet tried, last one first
  std::string tunnel_answer_;
  std::string why_;
  Timer deadline_;
  Timer later_;  // nobody is told of a failure, or a unix socket's connection, in his own call
  std::unique_ptr<tls::Session> session_;
  std::unique_ptr<net::TcpStream> stream_;
  std::vector<std::unique_ptr<net::TcpStream>> retired_;  // their callbacks may still run
};

}  // namespace mooring::discovery
