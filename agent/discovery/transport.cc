#include "discovery/transport.h"

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <string>
#include <string_view>
#include <utility>

#include "core/address.h"
#include "core/base64.h"
#include "net/socket.h"

namespace mooring::discovery {

namespace {

const std::array<std::string, 1> kProtocols{"h2"};  // gRPC is nothing without HTTP/2
// Of one name. A control plane behind more is reached by its first ones.
constexpr std::size_t kMaxAddresses = 8;
// A proxy's answer to CONNECT.
constexpr std::size_t kMaxTunnelAnswer = std::size_t{8} * 1024;
// As Envoy sets it for a control plane; the HTTP/2 PING above it notices what the kernel cannot.
constexpr net::Keepalive kKeepalive{Milliseconds(10000), Milliseconds(10000)};

Bytes bytes_of(std::string_view text) noexcept {
  return std::as_bytes(std::span(text));
}

Result<UniqueFd> connect_to_path(const std::string& path) {
  const auto address = unix_address(path);
  if (!address) return fail(address.error());
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  // Of this family connect() never waits: a full queue is an error.
  if (!fd.valid() ||
      ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&*address), sizeof *address) != 0) {
    return fail_errno(errno, "connect");
  }
  return fd;
}

}  // namespace

std::string HostPort::to_string() const {
  const bool is_v6 = host.find(':') != std::string::npos;
  return (is_v6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

Transport::Transport(
    Loop& loop, net::StreamPool& pool, tls::Context* tls, Milliseconds timeout, Owner& owner)
    : loop_(loop),
      pool_(pool),
      tls_(tls),
      timeout_(timeout),
      owner_(owner),
      deadline_(loop, [this] { fail_address("timed out"); }),
      later_(loop, [this] {
        if (phase_ == Phase::closed) return owner_.on_failed(why_);
        if (phase_ == Phase::connecting) opened();
      }) {}

const HostPort& Transport::peer() const noexcept {
  return target_.proxy ? target_.proxy->address : target_.address;
}

void Transport::start(const Target& target) {
  AGENT_CHECK(phase_ == Phase::idle);
  target_ = target;
  if (!target_.unix_path.empty()) return connect_unix();
  AGENT_CHECK(tls_ != nullptr);
  phase_ = Phase::resolving;
  if (const auto ip = parse_ip(peer().host)) return resolved({*ip});
  deadline_.start(timeout_);
  lookup_ = std::make_unique<net::Lookup>(
      loop_, peer().host, [this](std::vector<IpAddress> found) { resolved(std::move(found)); });
}

void Transport::connect_unix() {
  phase_ = Phase::connecting;
  auto fd = connect_to_path(target_.unix_path);
  if (!fd) return fail_for_good(describe(fd.error()));
  stream_ = std::make_unique<net::TcpStream>(loop_, pool_, *this);
  if (auto adopted = stream_->adopt(std::move(*fd)); !adopted)
    return fail_for_good(describe(adopted.error()));
  stream_->start_reading();
  later_.start(Milliseconds(0));
}

void Transport::resolved(std::vector<IpAddress> addresses) {
  if (phase_ != Phase::resolving) return;
  if (addresses.empty()) return fail_for_good("the name " + peer().host + " has no address");
  if (addresses.size() > kMaxAddresses) addresses.resize(kMaxAddresses);
  std::reverse(addresses.begin(), addresses.end());
  addresses_ = std::move(addresses);
  connect_next();
}

void Transport::connect_next() {
  const SocketAddress address{addresses_.back(), peer().port};
  addresses_.pop_back();
  phase_ = Phase::connecting;
  deadline_.start(timeout_);
  auto fd = net::make_connecting_socket(address, std::nullopt, kKeepalive);
  if (!fd) return fail_address(describe(fd.error()));
  stream_ = std::make_unique<net::TcpStream>(loop_, pool_, *this);
  if (auto done = stream_->connect(std::move(*fd), address); !done)
    fail_address(describe(done.error()));
}

void Transport::on_connected(net::TcpStream&, int error) {
  if (phase_ != Phase::connecting) return;
  if (error != 0) return fail_address(errno_text(error));
  stream_->start_reading();
  if (target_.proxy) return begin_tunnel(*target_.proxy);
  begin_tls();
}

void Transport::begin_tunnel(const HttpProxy& proxy) {
  phase_ = Phase::tunnelling;
  const std::string host = target_.address.to_string();
  std::string request = "CONNECT " + host + " HTTP/1.1\r\nHost: " + host + "\r\n";
  if (!proxy.credentials.empty())
    request += "Proxy-Authorization: Basic " + encode_base64(proxy.credentials) + "\r\n";
  stream_->write(bytes_of(request + "\r\n"));
}

void Transport::take_tunnel_answer(Bytes bytes) {
  tunnel_answer_.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  const std::size_t end = tunnel_answer_.find("\r\n\r\n");
  if (end == std::string::npos) {
    if (tunnel_answer_.size() > kMaxTunnelAnswer) fail_address("the proxy's answer is too long");
    return;
  }
  const bool is_http = tunnel_answer_.starts_with("HTTP/1.") && tunnel_answer_.size() > 12;
  const std::string status = is_http ? tunnel_answer_.substr(9, 3) : "";
  if (!status.starts_with('2') || status.find_first_not_of("0123456789") != std::string::npos)
    return fail_address("the proxy refused: " + (is_http ? status : "no HTTP"));
  // TLS begins with our hello: a server that spoke before it is none.
  if (tunnel_answer_.size() > end + 4) return fail_address("the proxy's answer has a body");
  std::string().swap(tunnel_answer_);
  begin_tls();
}

void Transport::begin_tls() {
  phase_ = Phase::handshaking;
  const std::string& host =
      target_.server_name.empty() ? target_.address.host : target_.server_name;
  tls::Context::ClientOptions options;
  options.alpn = kProtocols;
  options.host = host;
  if (!parse_ip(host)) options.sni = host;
  auto session = tls_->make_client(options);
  if (!session) return fail_address(describe(session.error()));
  session_ = std::move(*session);
  take_step(session_->start());
}

// False once the connection is over.
bool Transport::take_step(const tls::Step& step) {
  stream_->write(step.to_peer);
  if (step.failure != tls::Failure::none) {
    fail_address(std::string("TLS: ") + tls::to_string(step.failure) + ", " +
                 session_->failure_text());
    return false;
  }
  if (step.handshake_done) {
    if (session_->peer().alpn != kProtocols.front()) {
      fail_address("TLS: the server does not choose HTTP/2 (ALPN h2)");
      return false;
    }
    opened();
  }
  if (phase_ == Phase::open && !step.plain.empty()) owner_.on_bytes(step.plain);
  if (phase_ == Phase::closed) return false;
  if (step.peer_closed) fail_address("closed by the server");
  return phase_ != Phase::closed;
}

void Transport::take_tls(Bytes bytes) {
  tls::Step step = session_->feed(bytes);
  while (take_step(step) && step.more)
    step = session_->feed({});
}

void Transport::opened() {
  deadline_.stop();
  phase_ = Phase::open;
  owner_.on_connected();
}

void Transport::on_bytes(net::TcpStream&, Bytes bytes) {
  switch (phase_) {
    case Phase::tunnelling:
      return take_tunnel_answer(bytes);
    case Phase::handshaking:
    case Phase::open:
      if (session_) return take_tls(bytes);
      return owner_.on_bytes(bytes);
    case Phase::connecting:  // a unix server that speaks first, in the turn before opened()
      opened();
      if (phase_ == Phase::open) owner_.on_bytes(bytes);
      return;
    case Phase::idle:
    case Phase::resolving:
    case Phase::closed:
      return;
  }
}

void Transport::write(Bytes bytes) {
  AGENT_CHECK(phase_ == Phase::open || phase_ == Phase::closed);
  if (phase_ == Phase::closed) return;
  if (!session_) return stream_->write(bytes);
  while (!bytes.empty()) {
    const Bytes piece = bytes.first(std::min(bytes.size(), tls::Scratch::kPlainBytes));
    bytes = bytes.subspan(piece.size());
    const tls::Step step = session_->write(piece);
    stream_->write(step.to_peer);
    if (step.failure != tls::Failure::none) return fail_for_good("TLS: cannot encrypt");
  }
}

void Transport::on_eof(net::TcpStream&) {
  fail_address("closed by the server");
}
void Transport::on_reset(net::TcpStream&, int error) {
  fail_address(errno_text(error));
}
void Transport::on_drained(net::TcpStream&) {
  if (phase_ == Phase::open) owner_.on_drained();
}
void Transport::on_write_closed(net::TcpStream&) {}

// Another address of the same name may do better, as long as nothing was open.
void Transport::fail_address(std::string why) {
  if (phase_ == Phase::closed) return;
  if (phase_ == Phase::open || phase_ == Phase::resolving || addresses_.empty())
    return fail_for_good(std::move(why));
  if (stream_) {
    stream_->close(true);  // the alert, if there is one, still goes out
    retired_.push_back(std::move(stream_));
  }
  session_.reset();
  std::string().swap(tunnel_answer_);
  connect_next();
}

void Transport::fail_for_good(std::string why) {
  if (phase_ == Phase::closed) return;
  close();
  why_ = std::move(why);
  later_.start(Milliseconds(0));
}

void Transport::close() {
  phase_ = Phase::closed;
  deadline_.stop();
  later_.stop();
  lookup_.reset();
  if (!stream_) return;
  stream_->close(true);
}

}  // namespace mooring::discovery
