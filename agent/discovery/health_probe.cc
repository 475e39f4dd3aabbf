#include "discovery/health_probe.h"

#include <sys/socket.h>

#include <utility>

#include "core/fd.h"
#include "net/socket.h"

namespace mooring::discovery {

void HealthJudge::take(Health outcome) noexcept {
  const bool was_good = health_ == Health::healthy;
  const bool is_good = outcome == Health::healthy;
  if (health_ == Health::unknown) {
    health_ = outcome;
    return;
  }
  if (was_good == is_good) {
    in_row_ = 0;
    health_ = outcome;  // refused and timed out are the same, and differ for people
    return;
  }
  if (++in_row_ < (is_good ? healthy_threshold_ : unhealthy_threshold_)) return;
  in_row_ = 0;
  health_ = outcome;
}

HealthProbe::HealthProbe(Loop& loop, net::StreamPool& pool, ProbeOptions options)
    : loop_(loop),
      pool_(pool),
      options_(options),
      judge_(options.healthy_threshold, options.unhealthy_threshold),
      next_(loop, [this] { ask(); }),
      deadline_(loop, [this] { end(Health::timed_out); }) {
  next_.start(Milliseconds(0), options_.interval);
}

void HealthProbe::ask() {
  retired_.reset();
  if (stream_) return;  // the last one goes on until its deadline
  auto fd = net::make_connecting_socket(options_.address, std::nullopt, {});
  if (!fd) return judge_.take(Health::unhealthy);
  stream_ = std::make_unique<net::TcpStream>(loop_, pool_, *this);
  deadline_.start(options_.timeout);
  if (!stream_->connect(std::move(*fd), options_.address)) end(Health::unhealthy);
}

void HealthProbe::on_connected(net::TcpStream&, int error) {
  end(error == 0 ? Health::healthy : Health::unhealthy);
}
void HealthProbe::on_reset(net::TcpStream&, int) {
  end(Health::unhealthy);
}

void HealthProbe::end(Health outcome) {
  deadline_.stop();
  stream_->close(true);
  retired_ = std::move(stream_);
  judge_.take(outcome);
}

bool is_of_this_host(const IpAddress& ip) {
  sockaddr_storage raw{};
  const socklen_t size = SocketAddress{ip, 0}.to_sockaddr(raw);
  const UniqueFd fd(::socket(raw.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  return fd.valid() && !ip.is_unspecified() &&
         ::bind(fd.get(), reinterpret_cast<const sockaddr*>(&raw), size) == 0;
}

}  // namespace mooring::discovery
