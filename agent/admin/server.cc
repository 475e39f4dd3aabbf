#include "admin/server.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "admin/connection.h"

namespace mooring::admin {

namespace {

constexpr int kAcceptsPerTurn = 16;
constexpr Milliseconds kAcceptPause{100};

bool is_exhausted(int error) {
  return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

/// Best effort: the client reads why, unless its own bytes are still on the way.
void send_busy(int fd) {
  const std::string text =
      http::encode_response(refuse(503, "too many connections to the admin API"), false, false);
  (void)!::send(fd, text.data(), text.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
}

}  // namespace

Server::Server(Loop& loop, Handlers handlers, ServerOptions options)
    : loop_(loop),
      handlers_(std::move(handlers)),
      options_(std::move(options)),
      reaper_(loop, [this] { retired_.clear(); }) {
  if (options_.privileged_uids.empty()) options_.privileged_uids = {0, ::geteuid()};
}

Server::~Server() {
  connections_.clear();
  retired_.clear();
}

void Server::add(UniqueFd listening, bool is_unix) {
  // A socket that was handed to us may be blocking.
  const int flags = ::fcntl(listening.get(), F_GETFL);
  AGENT_CHECK(flags >= 0 && ::fcntl(listening.get(), F_SETFL, flags | O_NONBLOCK) == 0);
  auto listener = std::make_unique<Listener>();
  Listener* const self = listener.get();  // lives as long as its callbacks
  self->fd = std::move(listening);
  self->is_unix = is_unix;
  self->watch = std::make_unique<PollWatch>(loop_, self->fd.get(), [this, self](int, int error) {
    if (error == 0) accept_some(*self);
  });
  self->resume =
      std::make_unique<Timer>(loop_, [self] { self->watch->start(PollWatch::readable); });
  self->watch->start(PollWatch::readable);
  listeners_.push_back(std::move(listener));
}

void Server::accept_some(Listener& listener) {
  for (int i = 0; i < kAcceptsPerTurn; ++i) {
    UniqueFd fd(::accept4(listener.fd.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (fd.valid()) {
      admit(listener, std::move(fd));
    } else if (is_exhausted(errno)) {
      // The connection stays in the queue, so the socket stays readable: do not spin on it.
      listener.watch->stop();
      listener.resume->start(kAcceptPause);
      if (accept_warnings_.admit(loop_.now_ms())) log::warn("the admin API has no descriptor left");
      return;
    } else if (errno != EINTR && errno != ECONNABORTED) {
      return;
    }
  }
}

bool Server::is_privileged(int fd) const {
  ucred peer{};
  socklen_t size = sizeof peer;
  if (::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return false;
  const auto& allowed = options_.privileged_uids;
  return std::find(allowed.begin(), allowed.end(), peer.uid) != allowed.end();
}

void Server::admit(Listener& listener, UniqueFd fd) {
  const Client client{.over_socket = listener.is_unix,
                      .is_privileged = listener.is_unix && is_privileged(fd.get())};
  const std::size_t limit =
      options_.max_connections + (client.is_privileged ? options_.reserved_connections : 0);
  if (listener.open >= limit) return send_busy(fd.get());
  connections_.push_back(
      std::make_unique<Connection>(*this, loop_, std::move(fd), client, listener.open));
  connections_.back()->start();
}

void Server::add_client(UniqueFd fd, bool is_control_plane) {
  if (handed_in_ >= options_.max_connections) return send_busy(fd.get());
  connections_.push_back(std::make_unique<Connection>(
      *this, loop_, std::move(fd), Client{.is_control_plane = is_control_plane}, handed_in_));
  connections_.back()->start();
}

void Server::resume(std::uint64_t id) {
  const auto found = std::find_if(connections_.begin(), connections_.end(), [&](const auto& owned) {
    return owned->id() == id;
  });
  if (found != connections_.end()) (*found)->resume();
}

void Server::retire(Connection& connection) {
  connection.stop();
  const auto found = std::find_if(connections_.begin(), connections_.end(), [&](const auto& owned) {
    return owned.get() == &connection;
  });
  AGENT_CHECK(found != connections_.end());
  retired_.push_back(std::move(*found));
  connections_.erase(found);
  reaper_.start(Milliseconds(0));
}

}  // namespace mooring::admin
