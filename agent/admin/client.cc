#include "admin/client.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

#include "admin/connection.h"
#include "core/address.h"
#include "core/fd.h"
#include "http/h1_codec.h"

namespace mooring::admin {

namespace {

using std::chrono::steady_clock;

Result<UniqueFd> connect_to(const std::string& path) {
  const auto address = unix_address(path);
  if (!address) return fail(Errc::too_large, "path of the admin socket");
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.valid()) return fail_errno(errno, "socket");
  // EAGAIN: the queue of an agent that does not accept is full.
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&*address), sizeof *address) != 0) {
    return errno == EAGAIN
               ? Result<UniqueFd>(fail(Errc::timed_out, "connect to the admin socket", EAGAIN))
               : fail_errno(errno, "connect to the admin socket");
  }
  return fd;
}

Result<void> wait_for(int fd, short events, steady_clock::time_point limit) {
  for (;;) {
    const auto left = std::chrono::ceil<Milliseconds>(limit - steady_clock::now()).count();
    pollfd watched{fd, events, 0};
    const int ready = ::poll(&watched, 1, static_cast<int>(std::max<long>(left, 0)));
    if (ready > 0) return {};
    if (ready == 0) return fail(Errc::timed_out, "admin request", ETIMEDOUT);
    if (errno != EINTR) return fail_errno(errno, "poll");
  }
}

Result<void> send_all(int fd, std::string_view text, steady_clock::time_point limit) {
  while (!text.empty()) {
    const ssize_t put = ::send(fd, text.data(), text.size(), MSG_NOSIGNAL);
    if (put >= 0) {
      text.remove_prefix(static_cast<std::size_t>(put));
    } else if (errno == EPIPE) {
      return {};  // refused at the door: the answer says why
    } else if (errno != EAGAIN && errno != EINTR) {
      return fail_errno(errno, "send to the admin socket");
    } else if (Result<void> ready = wait_for(fd, POLLOUT, limit); !ready) {
      return ready;
    }
  }
  return {};
}

Result<std::string> receive_all(int fd, steady_clock::time_point limit) {
  std::string text;
  char block[65536];
  for (;;) {
    if (Result<void> ready = wait_for(fd, POLLIN, limit); !ready) return fail(ready.error());
    const ssize_t got = ::recv(fd, block, sizeof block, 0);
    if (got == 0) return text;
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) continue;
    // A server that had not read our request resets after its answer.
    if (got < 0 && errno == ECONNRESET && !text.empty()) return text;
    if (got < 0) return fail_errno(errno, "receive from the admin socket");
    text.append(block, static_cast<std::size_t>(got));
    if (text.size() > kMaxAnswerBytes + http::kMaxHeadBytes)
      return fail(Errc::too_large, "admin answer");
  }
}

bool is_plain(std::string_view text) {
  return !text.empty() &&
         std::all_of(text.begin(), text.end(), [](char c) { return c > 0x20 && c < 0x7f; });
}

}  // namespace

Result<http::Response> request(const std::string& socket_path,
                               std::string_view method,
                               std::string_view target,
                               Milliseconds timeout) {
  if (!is_plain(method) || !is_plain(target)) return fail(Errc::bad_input, "admin request line");
  const auto limit = steady_clock::now() + timeout;
  const Result<UniqueFd> fd = connect_to(socket_path);
  if (!fd) return fail(fd.error());
  const std::string text = fmt::format(
      "{} {} HTTP/1.1\r\nHost: mooring\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
      method,
      target);
  if (Result<void> sent = send_all(fd->get(), text, limit); !sent) return fail(sent.error());
  const Result<std::string> reply = receive_all(fd->get(), limit);
  if (!reply) return fail(reply.error());
  return http::parse_response(*reply, method == "HEAD");
}

}  // namespace mooring::admin
