#include "core/fd.h"

#include <unistd.h>

namespace mooring {

void UniqueFd::reset(int fd) noexcept {
  const int old = std::exchange(fd_, fd);
  if (old >= 0 && old != fd) ::close(old);
}

}  // namespace mooring
