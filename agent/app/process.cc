#include "app/process.h"

#include <malloc.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <climits>
#include <csignal>
#include <string>
#include <string_view>

#include "capture_client/intercept_config.h"
#include "core/file.h"

namespace mooring::app {

namespace {

std::size_t cpus_by_affinity() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (::sched_getaffinity(0, sizeof(set), &set) != 0) return 1;
  return static_cast<std::size_t>(std::max(1, CPU_COUNT(&set)));
}

// "200000 100000": 200 ms of CPU time in each 100 ms (cgroup v2, cpu.max).
std::size_t cpus_by_quota(std::size_t otherwise) {
  const auto text = read_file("/sys/fs/cgroup/cpu.max", 128);
  if (!text) return otherwise;
  const char* const end = text->data() + text->size();
  std::size_t quota = 0;
  std::size_t period = 0;
  const auto first = std::from_chars(text->data(), end, quota);
  if (first.ec != std::errc() || first.ptr == end) return otherwise;  // "max"
  const auto second = std::from_chars(first.ptr + 1, end, period);
  if (second.ec != std::errc() || period == 0) return otherwise;
  return std::clamp<std::size_t>((quota + period - 1) / period, 1, otherwise);
}

}  // namespace

void prepare_process() noexcept {
  ::umask(077);
  (void)::prctl(PR_SET_DUMPABLE, 0);
  struct sigaction ignore{};
  ignore.sa_handler = SIG_IGN;
  (void)::sigaction(SIGPIPE, &ignore, nullptr);
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < files.rlim_max) {
    files.rlim_cur = files.rlim_max;
    (void)::setrlimit(RLIMIT_NOFILE, &files);
  }
}

bool is_program_replaced() {
  std::array<char, PATH_MAX> target{};
  const ssize_t size = ::readlink("/proc/self/exe", target.data(), target.size());
  return size > 0 &&
         std::string_view(target.data(), static_cast<std::size_t>(size)).ends_with(" (deleted)");
}

std::size_t worker_count(const config::Limits& limits) {
  if (limits.workers > 0) return limits.workers;
  return std::min<std::size_t>(cpus_by_quota(cpus_by_affinity()), capture_client::kMaxWorkers);
}

std::size_t allocated_bytes() noexcept {
#if __GLIBC_PREREQ(2, 33)
  const struct mallinfo2 info = ::mallinfo2();
  return info.uordblks + info.hblkhd;
#else  // counts in int: right below 4 GiB
  const struct mallinfo info = ::mallinfo();
  return std::size_t{static_cast<unsigned>(info.uordblks)} + static_cast<unsigned>(info.hblkhd);
#endif
}

}  // namespace mooring::app
