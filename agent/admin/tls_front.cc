#include "admin/tls_front.h"

#include <sys/socket.h>

#include <algorithm>
#include <utility>

#include "core/log.h"

namespace mooring::admin {

namespace {

constexpr std::byte kHandshakeRecord{0x16};  // RFC 8446 §5.1

bool begins_tls(Bytes first) {
  return first.front() == kHandshakeRecord;
}

}  // namespace

// One client: its connection outside, ours to the admin server inside.
class TlsFront::Link final : public net::TcpStream::Owner {
 public:
  Link(TlsFront& front, UniqueFd fd)
      : front_(front),
        outer_(front.loop_, front.pool_, *this),
        inner_(front.loop_, front.pool_, *this),
        deadline_(front.loop_, [this] { end(); }) {
    const bool is_there = outer_.adopt(std::move(fd)).has_value();
    deadline_.start(is_there ? kDeadline : Milliseconds{0});
    if (is_there) outer_.start_reading();
  }

 private:
  enum class Phase : std::uint8_t { opening, handshaking, relaying, ended };

  void on_connected(net::TcpStream&, int) override {}
  void on_bytes(net::TcpStream& stream, Bytes bytes) override;
  void on_eof(net::TcpStream& stream) override;
  void on_reset(net::TcpStream&, int) override { end(); }
  void on_drained(net::TcpStream& stream) override;
  void on_write_closed(net::TcpStream& stream) override;
  void begin(Bytes first);
  bool connect(bool is_control_plane);
  void take_cipher(Bytes bytes);
  void to_inner(Bytes plain);
  void to_outer(Bytes plain);
  void end();

  TlsFront& front_;
  Phase phase_ = Phase::opening;
  std::shared_ptr<const TlsIdentity> identity_;  // outlives the session's handshake
  std::unique_ptr<tls::Session> session_;        // null: plain text
  net::TcpStream outer_;
  net::TcpStream inner_;
  Timer deadline_;
};

void TlsFront::Link::on_bytes(net::TcpStream& stream, Bytes bytes) {
  if (&stream == &inner_) return to_outer(bytes);
  switch (phase_) {
    case Phase::opening:
      return begin(bytes);
    case Phase::handshaking:
      return take_cipher(bytes);
    case Phase::relaying:
      return session_ ? take_cipher(bytes) : to_inner(bytes);
    case Phase::ended:
      return;
  }
}

void TlsFront::Link::begin(Bytes first) {
  if (!begins_tls(first)) {
    if (front_.plain_text_ == PlainText::refused) return end();
    if (connect(false)) to_inner(first);
    return;
  }
  identity_ = front_.identity_;
  if (!identity_) return end();
  auto session = identity_->context->make_server({.expected_peers = identity_->clients});
  if (!session) return end();
  session_ = std::move(*session);
  phase_ = Phase::handshaking;
  take_cipher(first);
}

bool TlsFront::Link::connect(bool is_control_plane) {
  int pair[2] = {-1, -1};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) != 0) {
    end();
    return false;
  }
  UniqueFd ours(pair[0]);
  front_.server_.add_client(UniqueFd(pair[1]), is_control_plane);
  if (!inner_.adopt(std::move(ours))) {
    end();
    return false;
  }
  deadline_.stop();  // from here on the server's own hold
  phase_ = Phase::relaying;
  inner_.start_reading();
  return true;
}

void TlsFront::Link::take_cipher(Bytes bytes) {
  for (Bytes input = bytes;;) {
    const tls::Step step = session_->feed(input);
    outer_.write(step.to_peer);
    if (step.failure != tls::Failure::none) {
      log::warn("the admin listener refused a client: {}", tls::to_string(step.failure));
      return end();
    }
    if (step.handshake_done && !connect(true)) return;
    if (!step.plain.empty()) to_inner(step.plain);
    if (phase_ == Phase::ended) return;
    if (step.peer_closed) return inner_.close_write();
    if (!step.more) return;
    input = {};
  }
}

void TlsFront::Link::to_inner(Bytes plain) {
  inner_.write(plain);
  if (inner_.queued() > 0) outer_.stop_reading();
}

void TlsFront::Link::to_outer(Bytes plain) {
  if (!session_) {
    outer_.write(plain);
  } else {
    while (!plain.empty()) {
      const Bytes part = plain.first(std::min(plain.size(), tls::Scratch::kPlainBytes));
      plain = plain.subspan(part.size());
      const tls::Step step = session_->write(part);
      if (step.failure != tls::Failure::none) return end();
      outer_.write(step.to_peer);
    }
  }
  if (outer_.queued() > 0) inner_.stop_reading();
}

void TlsFront::Link::on_eof(net::TcpStream& stream) {
  if (phase_ != Phase::relaying) return end();
  if (&stream == &outer_) return inner_.close_write();
  if (session_) outer_.write(session_->close_write().to_peer);
  outer_.close_write();
}

void TlsFront::Link::on_drained(net::TcpStream& stream) {
  if (phase_ == Phase::relaying) (&stream == &outer_ ? inner_ : outer_).start_reading();
}

// The server has said all, and it is out.
void TlsFront::Link::on_write_closed(net::TcpStream& stream) {
  if (&stream == &outer_) end();
}

void TlsFront::Link::end() {
  if (std::exchange(phase_, Phase::ended) == Phase::ended) return;
  outer_.close(true);
  inner_.close(true);
  front_.retire(*this);
}

TlsFront::TlsFront(
    Loop& loop, net::StreamPool& pool, Server& server, UniqueFd listening, PlainText plain_text)
    : loop_(loop),
      pool_(pool),
      server_(server),
      plain_text_(plain_text),
      reaper_(loop, [this] { retired_.clear(); }),
      listener_(
          loop, std::move(listening), [this](UniqueFd fd) { accept(std::move(fd)); }, [] {}) {}

TlsFront::~TlsFront() = default;

void TlsFront::accept(UniqueFd fd) {
  if (links_.size() < kMaxConnections)
    links_.push_back(std::make_unique<Link>(*this, std::move(fd)));
}

void TlsFront::retire(Link& link) {
  const auto found = std::find_if(
      links_.begin(), links_.end(), [&](const auto& known) { return known.get() == &link; });
  if (found == links_.end()) return;
  retired_.push_back(std::move(*found));
  links_.erase(found);
  reaper_.start(Milliseconds{0});
}

}  // namespace mooring::admin
