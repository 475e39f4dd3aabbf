#include "proxy/health_probe.h"

#include <span>
#include <string_view>
#include <utility>

#include "policy/health_check.h"
#include "proxy/tls_options.h"

namespace mooring::proxy {

HealthProbe::HealthProbe(Loop& loop,
                         net::StreamPool& pool,
                         const snapshot::HealthCheck& options,
                         OnResult on_result)
    : loop_(loop),
      pool_(pool),
      options_(options),
      on_result_(std::move(on_result)),
      timeout_(loop, [this] {
        hang_up(false);
        finish(false);
      }) {}

void HealthProbe::start(Target target) {
  is_checking_ = true;
  received_.clear();
  timeout_.start(options_.timeout);
  if (tcp_) return send(options_.send);
  target_ = std::move(target);
  // In a later turn: whoever starts a check does not expect its result yet.
  if (!dial()) timeout_.start(Milliseconds(0));
}

bool HealthProbe::dial() {
  auto fd = net::make_connecting_socket(target_.address, target_.source, {});
  if (!fd) return false;
  tcp_ = std::make_unique<net::TcpStream>(loop_, pool_, *this);
  return tcp_->connect(std::move(*fd), target_.address).has_value();
}

void HealthProbe::on_connected(net::TcpStream&, int error) {
  if (error != 0) {
    hang_up(false);
    return finish(false);
  }
  if (target_.transport != nullptr) return begin_tls();
  on_ready();
}

void HealthProbe::begin_tls() {
  auto session =
      target_.context->make_client(client_options(*target_.transport, target_.resume_key));
  if (!session) {
    hang_up(false);
    return finish(false);
  }
  tls_ = std::move(*session);
  tcp_->start_reading();
  take(tls_->start());
}

void HealthProbe::on_bytes(net::TcpStream&, Bytes bytes) {
  if (!tls_) return receive(bytes);
  // One read fits into one step.
  take(tls_->feed(bytes));
}

void HealthProbe::take(const tls::Step& step) {
  if (!tcp_) return;
  tcp_->write(step.to_peer);
  if (step.failure != tls::Failure::none || step.peer_closed) {
    hang_up(true);
    return finish(false);
  }
  if (step.handshake_done) on_ready();
  if (tcp_ && !step.plain.empty()) receive(step.plain);
}

void HealthProbe::on_ready() {
  if (!options_.receive.empty()) {
    tcp_->start_reading();
    return send(options_.send);
  }
  // Being connected is enough; Envoy sends nothing then either.
  hang_up(true);
  finish(true);
}

void HealthProbe::send(std::string_view text) {
  if (text.empty()) return;
  const Bytes bytes = std::as_bytes(std::span(text));
  tcp_->write(tls_ ? tls_->write(bytes).to_peer : bytes);
}

void HealthProbe::receive(Bytes plain) {
  if (!is_checking_) return;
  received_.append(reinterpret_cast<const char*>(plain.data()), plain.size());
  if (policy::receives(received_, options_.receive)) {
    if (!options_.reuse_connection) hang_up(true);
    return finish(true);
  }
  if (received_.size() <= kMaxReceived) return;
  hang_up(false);
  finish(false);
}

void HealthProbe::on_eof(net::TcpStream&) {
  hang_up(true);
  finish(false);
}

void HealthProbe::on_reset(net::TcpStream&, int) {
  hang_up(false);
  finish(false);
}

void HealthProbe::hang_up(bool orderly) {
  if (!tcp_) return;
  if (orderly && tls_ && tls_->is_established()) tcp_->write(tls_->close_write().to_peer);
  tcp_->close(orderly);
  retired_ = std::move(tcp_);
  tls_.reset();
}

void HealthProbe::finish(bool is_success) {
  is_checking_ = false;
  timeout_.stop();
  on_result_(is_success);
}

}  // namespace mooring::proxy
