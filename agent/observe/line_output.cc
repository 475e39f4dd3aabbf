#include "observe/line_output.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace mooring::observe {

namespace {

// Standard output is shared with whoever started us, so it must not be made non-blocking. A pipe
// that poll() calls writable takes this much without blocking: one page (pipe(7)).
constexpr std::size_t kSafeBytes = 4096;

int open_path(const std::string& path) {
  if (path == "/dev/stdout") return ::fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
  if (path == "/dev/stderr") return ::fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
  struct stat info{};
  const bool fifo = ::stat(path.c_str(), &info) == 0 && S_ISFIFO(info.st_mode);
  // A FIFO opened for both directions needs no reader yet, and outlives one that restarts.
  const int access = fifo ? O_RDWR : O_WRONLY | O_CREAT | O_APPEND;
  return ::open(path.c_str(), access | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0640);
}

bool is_standard(const std::string& path) {
  return path == "/dev/stdout" || path == "/dev/stderr";
}

int open_foreign_path(const std::string& path) {
  if (is_standard(path)) return open_path(path);
  struct stat info{};
  const bool fifo = ::lstat(path.c_str(), &info) == 0 && S_ISFIFO(info.st_mode);
  const int access = fifo ? O_RDWR : O_WRONLY | O_CREAT | O_APPEND;
  return ::open(path.c_str(), access | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0640);
}

}  // namespace

Result<void> LineOutput::open(const std::string& path) {
  UniqueFd fd(open_path(path));
  if (!fd.valid()) return fail_errno(errno, "open access log");
  return adopt(std::move(fd));
}

Result<void> LineOutput::open_foreign(const std::string& path) {
  UniqueFd fd(open_foreign_path(path));
  if (!fd.valid()) return fail_errno(errno, "open access log");
  struct stat info{};
  if (::fstat(fd.get(), &info) != 0) return fail_errno(errno, "fstat access log");
  const bool is_fit =
      is_standard(path) || S_ISREG(info.st_mode) || S_ISFIFO(info.st_mode) || S_ISCHR(info.st_mode);
  if (!is_fit) return fail(Errc::bad_input, "access log is no file");
  return adopt(std::move(fd));
}

Result<void> LineOutput::connect(const SocketAddress& address) {
  sockaddr_storage where{};
  const socklen_t length = address.to_sockaddr(where);
  UniqueFd fd(::socket(where.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return fail_errno(errno, "socket of access log");
  // The kernel's own type of an address (sockaddr(3type)).
  const auto* name = reinterpret_cast<const sockaddr*>(&where);
  if (::connect(fd.get(), name, length) != 0 && errno != EINPROGRESS)
    return fail_errno(errno, "connect access log");
  return adopt(std::move(fd));
}

Result<void> LineOutput::adopt(UniqueFd fd) {
  struct stat info{};
  if (::fstat(fd.get(), &info) != 0) return fail_errno(errno, "fstat access log");
  kind_ = S_ISREG(info.st_mode) ? Kind::file : S_ISSOCK(info.st_mode) ? Kind::socket : Kind::stream;
  fd_ = std::move(fd);
  forget_torn_line();
  return {};
}

void LineOutput::close() {
  fd_.reset();
  forget_torn_line();
}

/// The output before keeps it.
void LineOutput::forget_torn_line() {
  if (!mid_line_) return;
  sent_ = std::min(pending_.find('\n', sent_), pending_.size() - 1) + 1;
  mid_line_ = false;
}

void LineOutput::add(std::string_view line) {
  pending_ += line;
  pending_ += '\n';
}

long LineOutput::put(std::string_view bytes) const noexcept {
  if (kind_ == Kind::socket)
    return ::send(fd_.get(), bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  if (kind_ == Kind::file) return ::write(fd_.get(), bytes.data(), bytes.size());
  pollfd writable{fd_.get(), POLLOUT, 0};
  if (::poll(&writable, 1, 0) == 0) {
    errno = EAGAIN;
    return -1;
  }
  return ::write(fd_.get(), bytes.data(), std::min(bytes.size(), kSafeBytes));
}

void LineOutput::note_sent(std::size_t count) {
  const std::string_view sent = std::string_view(pending_).substr(sent_, count);
  const auto lines = static_cast<std::uint64_t>(std::count(sent.begin(), sent.end(), '\n'));
  written_.fetch_add(lines, std::memory_order_relaxed);
  mid_line_ = sent.back() != '\n';
  sent_ += count;
}

LineOutput::State LineOutput::flush() {
  while (sent_ < pending_.size()) {
    const long put_now = put(std::string_view(pending_).substr(sent_));
    if (put_now > 0) {
      note_sent(static_cast<std::size_t>(put_now));
    } else if (put_now == 0 || (errno != EINTR && errno != EAGAIN)) {
      failures_.fetch_add(1, std::memory_order_relaxed);
      last_error_ = put_now == 0 ? ENOSPC : errno;
      break;
    } else if (errno == EAGAIN) {
      pending_.erase(0, std::exchange(sent_, 0));
      return State::blocked;
    }
  }
  pending_.erase(0, std::exchange(sent_, 0));
  if (pending_.empty() && pending_.capacity() > kSafeBytes) std::string().swap(pending_);
  return pending_.empty() ? State::idle : State::failed;
}

}  // namespace mooring::observe
