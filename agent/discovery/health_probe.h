// Whether an application of this host takes connections: asked at an interval, judged by
// thresholds. On the control loop.
#pragma once

#include <cstdint>
#include <memory>

#include "core/clock.h"
#include "core/loop.h"
#include "net/stream.h"

namespace mooring::discovery {

enum class Health : std::uint8_t { unknown, healthy, unhealthy, timed_out };

/// The first outcome counts at once; after that so many in a row are wanted.
class HealthJudge {
 public:
  HealthJudge(std::uint32_t healthy_threshold, std::uint32_t unhealthy_threshold) noexcept
      : healthy_threshold_(healthy_threshold), unhealthy_threshold_(unhealthy_threshold) {}

  void take(Health outcome) noexcept;
  [[nodiscard]] Health health() const noexcept { return health_; }

 private:
  std::uint32_t healthy_threshold_;
  std::uint32_t unhealthy_threshold_;
  std::uint32_t in_row_ = 0;  // outcomes that contradict health_
  Health health_ = Health::unknown;
};

struct ProbeOptions {
  SocketAddress address;
  Milliseconds timeout{2000};
  Milliseconds interval{5000};
  std::uint32_t healthy_threshold = 1;
  std::uint32_t unhealthy_threshold = 1;

  friend bool operator==(const ProbeOptions&, const ProbeOptions&) = default;
};

/// One address, from construction to destruction. Connections are closed in order, without a byte.
class HealthProbe final : public net::TcpStream::Owner {
 public:
  HealthProbe(Loop& loop, net::StreamPool& pool, ProbeOptions options);
  HealthProbe(const HealthProbe&) = delete;
  HealthProbe& operator=(const HealthProbe&) = delete;

  [[nodiscard]] Health health() const noexcept { return judge_.health(); }
  [[nodiscard]] const ProbeOptions& options() const noexcept { return options_; }

 private:
  void on_connected(net::TcpStream& stream, int error) override;
  void on_bytes(net::TcpStream&, Bytes) override {}
  void on_eof(net::TcpStream&) override {}
  void on_reset(net::TcpStream& stream, int error) override;
  void on_drained(net::TcpStream&) override {}
  void on_write_closed(net::TcpStream&) override {}

  void ask();
  void end(Health outcome);

  Loop& loop_;
  net::StreamPool& pool_;
  ProbeOptions options_;
  HealthJudge judge_;
  std::unique_ptr<net::TcpStream> stream_;
  std::unique_ptr<net::TcpStream> retired_;  // whose callback may still run
  Timer next_;
  Timer deadline_;
};

/// An address of this host, by asking the kernel for a socket with it. Nobody else is probed
/// because a control plane says so.
[[nodiscard]] bool is_of_this_host(const IpAddress& ip);

}  // namespace mooring::discovery
