#include "transparent-proxy/helper/login.h"

#include <linux/magic.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <array>
#include <ctime>
#include <sstream>

#include <fmt/format.h>

#include "core/file.h"

namespace mooring::transparent_proxy {

namespace {

constexpr std::size_t kMaxStatBytes = 4096;
constexpr int kMaxAncestors = 64;
// getty becomes it: on a console it is as old as the last logout.
constexpr std::string_view kConsoleLogin = "login";

tl::unexpected<Diagnostic> refuse(const std::string& why) {
  return fail(Diagnostic{
      "confirm",
      why,
      "log in again, from where you usually come, and run `mooring capture confirm` there"});
}

}  // namespace

Checked<void> check_login(pid_t pid, std::uint64_t since, const ReadProcess& read) {
  auto login = read(pid);
  if (!login) return refuse(fmt::format("process {} cannot be looked at", pid));
  for (int left = kMaxAncestors; login->has_terminal && left > 0; --left) {
    auto parent = read(login->parent);
    if (!parent || !parent->has_terminal) break;
    login = std::move(parent);
  }
  if (!login->has_terminal && login->session != pid) {
    if (auto leader = read(login->session)) login = std::move(leader);
  }
  if (login->began <= since) return refuse("this login began before capture");
  if (login->parent <= 1) return {};
  const auto parent = read(login->parent);
  if (!parent) return refuse(fmt::format("process {} cannot be looked at", login->parent));
  if (parent->name == kConsoleLogin || parent->began > since) return {};
  return refuse(
      fmt::format("this login came through \"{}\", which began before capture", parent->name));
}

std::optional<ProcessFacts> parse_process_stat(std::string_view text) {
  // The name is in parentheses and may contain anything.
  const std::size_t open = text.find('(');
  const std::size_t close = text.rfind(')');
  if (open == std::string_view::npos || close == std::string_view::npos || close < open)
    return std::nullopt;
  std::istringstream words{std::string(text.substr(close + 1))};
  ProcessFacts facts;
  facts.name = text.substr(open + 1, close - open - 1);
  std::string state;
  pid_t group = 0;
  int terminal = 0;
  words >> state >> facts.parent >> group >> facts.session >> terminal;
  facts.has_terminal = terminal != 0;
  std::string skipped;
  for (int field = 8; field < 22; ++field)
    words >> skipped;
  if (!(words >> facts.began)) return std::nullopt;
  return facts;
}

ProcessReader::ProcessReader(int folder) noexcept {
  struct statfs info{};
  if (folder >= 0 && ::fstatfs(folder, &info) == 0 && info.f_type == PROC_SUPER_MAGIC)
    folder_ = folder;
}

std::optional<ProcessFacts> ProcessReader::operator()(pid_t pid) const {
  // A path through the descriptor: read_file() opens names.
  const std::string folder = folder_ < 0 ? "/proc" : fmt::format("/proc/self/fd/{}", folder_);
  const auto text = read_file(fmt::format("{}/{}/stat", folder, pid), kMaxStatBytes);
  return text ? parse_process_stat(*text) : std::nullopt;
}

std::uint64_t ticks_since_boot() {
  timespec now{};
  ::clock_gettime(CLOCK_BOOTTIME, &now);
  const auto per_second = static_cast<std::uint64_t>(::sysconf(_SC_CLK_TCK));
  return static_cast<std::uint64_t>(now.tv_sec) * per_second +
         static_cast<std::uint64_t>(now.tv_nsec) * per_second / 1'000'000'000U;
}

}  // namespace mooring::transparent_proxy
