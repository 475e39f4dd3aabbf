#include "net/listener.h"

#include <sys/socket.h>

#include <cerrno>

namespace mooring::net {

Listener::Listener(Loop& loop,
                   UniqueFd fd,
                   std::function<void(UniqueFd)> on_accept,
                   std::function<void()> on_pause)
    : fd_(std::move(fd)),
      on_accept_(std::move(on_accept)),
      on_pause_(std::move(on_pause)),
      watch_(loop,
             fd_.get(),
             [this](int, int) {
               for (int i = 0; i < kAcceptsPerTurn && !is_resting_ && accept_one(); ++i) {
               }
             }),
      resume_(loop, [this] {
        if (!is_resting_) watch_.start(PollWatch::readable);
      }) {
  watch_.start(PollWatch::readable);
}

bool Listener::accept_one() {
  UniqueFd fd(::accept4(fd_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
  if (fd.valid()) {
    on_accept_(std::move(fd));
    return true;
  }
  if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
    watch_.stop();
    resume_.start(Milliseconds(100));
    on_pause_();
    return false;
  }
  // A connection that was reset while it waited, or a pending network error (accept(2)): the next
  // one may be fine.
  return errno != EAGAIN && errno != EINVAL && errno != EBADF;
}

void Listener::rest() {
  is_resting_ = true;
  watch_.stop();
}

void Listener::resume() {
  is_resting_ = false;
  watch_.start(PollWatch::readable);
}

void Listener::accept_waiting() {
  while (accept_one()) {
  }
}

}  // namespace mooring::net
