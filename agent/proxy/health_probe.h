// One connection that asks whether an endpoint is healthy: connects, speaks TLS where the cluster
// does, sends and waits for what the check expects. Belongs to its loop's thread.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "core/address.h"
#include "core/loop.h"
#include "net/socket.h"
#include "net/stream.h"
#include "snapshot/snapshot.h"
#include "tls/session.h"

namespace mooring::proxy {

class HealthProbe final : public net::TcpStream::Owner {
 public:
  struct Target {
    SocketAddress address;
    std::optional<IpAddress> source;
    snapshot::ClusterPtr cluster;                    // holds the transport
    const snapshot::Transport* transport = nullptr;  // null: plain text
    // Of the transport. Shared: a snapshot may replace it between the dial and the handshake.
    std::shared_ptr<tls::Context> context;
    std::string resume_key;
  };
  /// Also without start(), where a connection that was kept ends.
  using OnResult = std::function<void(bool is_success)>;

  /// `options` and `pool` outlive this object, which is not destroyed in on_result.
  HealthProbe(Loop& loop,
              net::StreamPool& pool,
              const snapshot::HealthCheck& options,
              OnResult on_result);

  /// One check, with one result. On a connection that is left from the last one, if there is one:
  /// then `target` is not looked at.
  void start(Target target);

 private:
  /// What an application may say without having said what is expected.
  static constexpr std::size_t kMaxReceived = 64 * 1024;

  void on_connected(net::TcpStream& stream, int error) override;
  void on_bytes(net::TcpStream& stream, Bytes bytes) override;
  void on_eof(net::TcpStream& stream) override;
  void on_reset(net::TcpStream& stream, int error) override;
  void on_drained(net::TcpStream&) override {}
  void on_write_closed(net::TcpStream&) override {}

  [[nodiscard]] bool dial();
  void begin_tls();
  void take(const tls::Step& step);
  void on_ready();
  void receive(Bytes plain);
  void send(std::string_view text);
  void finish(bool is_success);
  void hang_up(bool orderly);

  Loop& loop_;
  net::StreamPool& pool_;
  const snapshot::HealthCheck& options_;
  OnResult on_result_;
  Timer timeout_;
  std::unique_ptr<net::TcpStream> tcp_;      // null: not connected
  std::unique_ptr<net::TcpStream> retired_;  // we may be in its callback
  std::unique_ptr<tls::Session> tls_;
  Target target_;
  std::string received_;
  bool is_checking_ = false;
};

}  // namespace mooring::proxy
