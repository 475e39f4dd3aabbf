#include "core/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "core/fd.h"

namespace mooring {

Result<std::string> read_file(const std::string& path, std::size_t max_bytes) {
  // O_NONBLOCK: opening a FIFO by mistake must not hang.
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd.valid()) return fail_errno(errno, "open");
  struct stat info{};
  if (::fstat(fd.get(), &info) != 0) return fail_errno(errno, "fstat");
  if (!S_ISREG(info.st_mode)) return fail(Errc::bad_input, "not a regular file");
  std::string content;
  char block[16384];
  for (;;) {
    const ssize_t got = ::read(fd.get(), block, sizeof block);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail_errno(errno, "read");
    if (got == 0) return content;
    content.append(block, static_cast<std::size_t>(got));
    if (content.size() > max_bytes) return fail(Errc::too_large, "read_file");
  }
}

namespace {

Result<void> write_all(int fd, std::string_view content) {
  while (!content.empty()) {
    const ssize_t put = ::write(fd, content.data(), content.size());
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return fail_errno(errno, "write");
    content.remove_prefix(static_cast<std::size_t>(put));
  }
  return {};
}

}  // namespace

Result<void> write_file_atomically(const std::string& path,
                                   std::string_view content,
                                   unsigned mode,
                                   std::optional<FileOwner> owner) {
  std::string temporary = path + ".XXXXXX";
  UniqueFd fd(::mkostemp(temporary.data(), O_CLOEXEC));
  if (!fd.valid()) return fail_errno(errno, "mkostemp");
  Result<void> done = write_all(fd.get(), content);
  if (done && owner && ::fchown(fd.get(), owner->user, owner->group) != 0)
    done = fail_errno(errno, "fchown");
  if (done && (::fchmod(fd.get(), mode) != 0 || ::fsync(fd.get()) != 0))
    done = fail_errno(errno, "fsync");
  if (done && ::rename(temporary.c_str(), path.c_str()) != 0) done = fail_errno(errno, "rename");
  if (!done) ::unlink(temporary.c_str());
  return done;
}

}  // namespace mooring
